package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthPace is how often a health that somebody watches is looked at.
const healthPace = time.Second

// healthService is gRPC's health service. All services of a node are as healthy as
// the node.
type healthService struct {
	healthgrpc.UnimplementedHealthServer
	server *Server
	ready  func(context.Context) error
}

// Check implements the health service.
func (h *healthService) Check(ctx context.Context, m *healthgrpc.HealthCheckRequest) (*healthgrpc.HealthCheckResponse, error) {
	if !h.serves(m.GetService()) {
		return nil, status.Errorf(codes.NotFound, "no service %q is here", m.GetService())
	}
	return &healthgrpc.HealthCheckResponse{Status: h.status(ctx)}, nil
}

// List implements the health service.
func (h *healthService) List(ctx context.Context, _ *healthgrpc.HealthListRequest) (*healthgrpc.HealthListResponse, error) {
	all := map[string]*healthgrpc.HealthCheckResponse{"": {Status: h.status(ctx)}}
	for name := range h.server.grpc.GetServiceInfo() {
		all[name] = all[""]
	}
	return &healthgrpc.HealthListResponse{Statuses: all}, nil
}

// Watch implements the health service: it tells the health now and whenever it
// changes, until the server stops.
func (h *healthService) Watch(m *healthgrpc.HealthCheckRequest, out grpc.ServerStreamingServer[healthgrpc.HealthCheckResponse]) error {
	ctx, end := h.server.untilStop(out.Context())
	defer end()
	ticker := time.NewTicker(healthPace)
	defer ticker.Stop()
	told := healthgrpc.HealthCheckResponse_UNKNOWN
	for {
		now := healthgrpc.HealthCheckResponse_SERVICE_UNKNOWN
		if h.serves(m.GetService()) {
			now = h.status(ctx)
		}
		if now != told {
			if err := out.Send(&healthgrpc.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			told = now
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// serves reports whether there is a service of that name; the empty one is the node.
func (h *healthService) serves(name string) bool {
	if name == "" {
		return true
	}
	_, ok := h.server.grpc.GetServiceInfo()[name]
	return ok
}

func (h *healthService) status(ctx context.Context) healthgrpc.HealthCheckResponse_ServingStatus {
	if h.server.stopping.Err() != nil || h.ready != nil && h.ready(ctx) != nil {
		return healthgrpc.HealthCheckResponse_NOT_SERVING
	}
	return healthgrpc.HealthCheckResponse_SERVING
}
