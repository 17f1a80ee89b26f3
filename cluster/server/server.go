package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
)

// MaxMessageBytes is the longest request that is received. Payloads have a lower
// limit of their own.
const MaxMessageBytes = 64 << 20

// streamWorkers is how many calls run on goroutines that are used again.
const streamWorkers = 256

// Config is what a [Server] may be told. The zero value serves in clear text.
type Config struct {
	// TLS is used where it is set.
	TLS *tls.Config
	// Ready says, as an error, what keeps the node from serving; for the health service
	// of gRPC. Nil: nothing does.
	Ready func(context.Context) error
	// Metrics is where the server registers its metrics; nil: nowhere.
	Metrics prometheus.Registerer
	// Logger gets requests that failed for a reason of ours; nil: slog.Default.
	Logger *slog.Logger
}

// Server serves the gRPC services of a node. Its methods are safe for concurrent
// use.
type Server struct {
	grpc    *grpc.Server
	metrics *metrics
	// stopping is cancelled when the server stops, so that long waits end and their
	// callers turn to another node.
	stopping context.Context
	stop     context.CancelFunc
}

// New returns a server that asks the backend.
func New(b Backend, c Config) *Server {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Server{metrics: newMetrics()}
	if c.Metrics != nil {
		c.Metrics.MustRegister(s.metrics.all()...)
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		// Clients that wait for minutes ask now and then whether the node is there.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 2 * time.Second, PermitWithoutStream: true}),
		// Handlers run on goroutines whose stacks have grown already; what is more waits
		// for no worker.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(s.metrics.unary, s.unary(c.Logger)),
		grpc.ChainStreamInterceptor(s.metrics.stream, s.stream(c.Logger)),
	}
	if c.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(c.TLS)))
	}
	s.grpc = grpc.NewServer(options...)
	durabletask.RegisterTaskHubSidecarServiceServer(s.grpc, &taskHubService{backend: b})
	reprisev1.RegisterRepriseServiceServer(s.grpc, &repriseService{backend: b})
	reprisev1.RegisterCancelServiceServer(s.grpc, &cancelService{backend: b})
	reprisev1.RegisterOrchestrationServiceServer(s.grpc, &orchestrationService{backend: b, starts: b})
	healthgrpc.RegisterHealthServer(s.grpc, &healthService{server: s, ready: c.Ready})
	reprisev1.RegisterActivityServiceServer(s.grpc, &activityService{backend: b})
	return s
}

// Serve accepts connections until the server is stopped, which is no error. It
// closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Stop takes no new requests, answers those under way (waits with UNAVAILABLE),
// and returns when all have ended, or ctx is done and they were cut off.
func (s *Server) Stop(ctx context.Context) {
	s.stop()
	cut := context.AfterFunc(ctx, s.grpc.Stop)
	defer cut()
	s.grpc.GracefulStop()
}

var errStopping = errors.New("the node is stopping; ask another one")

// untilStop returns a context that also ends when the server stops.
func (s *Server) untilStop(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	return ctx, func() { unhook(); cancel(nil) }
}

// waits are the methods that end when the server stops; all others are short.
var waits = map[string]bool{
	durabletask.TaskHubSidecarService_WaitForInstanceStart_FullMethodName:      true,
	durabletask.TaskHubSidecarService_WaitForInstanceCompletion_FullMethodName: true,
	reprisev1.OrchestrationService_ExecuteInstance_FullMethodName:              true,
	reprisev1.OrchestrationService_QueryInstance_FullMethodName:                true,
	reprisev1.OrchestrationService_UpdateInstance_FullMethodName:               true,
	reprisev1.OrchestrationService_WatchInstance_FullMethodName:                true,
}

func (s *Server) unary(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if waits[info.FullMethod] {
			var end func()
			ctx, end = s.untilStop(ctx)
			defer end()
		}
		answer, err := handler(ctx, req)
		if err == nil {
			return answer, nil
		}
		trailer, err := toStatus(ctx, log, info.FullMethod, err)
		s.metrics.refuse(trailer)
		if trailer != nil {
			_ = grpc.SetTrailer(ctx, trailer) // only fails once the call has ended
		}
		return nil, err
	}
}

func (s *Server) stream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if waits[info.FullMethod] {
			ctx, end := s.untilStop(stream.Context())
			defer end()
			stream = until{stream, ctx}
		}
		err := handler(srv, stream)
		if err == nil {
			return nil
		}
		trailer, err := toStatus(stream.Context(), log, info.FullMethod, err)
		s.metrics.refuse(trailer)
		if trailer != nil {
			stream.SetTrailer(trailer)
		}
		return err
	}
}
