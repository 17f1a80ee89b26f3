package server

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// metrics count what callers ask for. Labels come from a table each: the methods
// that are served, gRPC's codes, and our reasons; callers cannot make new ones.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	running  *prometheus.GaugeVec
	refused  *prometheus.CounterVec
	methods  sync.Map // string → *methodMetrics: those that were called
}

// methodMetrics are the metrics of one method, so that a call looks nothing up.
type methodMetrics struct {
	running prometheus.Gauge
	seconds prometheus.Observer
	codes   [codes.Unauthenticated + 1]prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reprise_grpc_requests_total", Help: "Requests that were answered, by method and code."}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "reprise_grpc_request_seconds", Help: "How long answers took; waits last as long as what they wait for.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"method"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "reprise_grpc_requests_running", Help: "Requests that are not answered yet."}, []string{"method"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reprise_refused_requests_total", Help: "Requests that were refused, by the reason that the trailer reprise-error tells."}, []string{"reason"}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.seconds, m.running, m.refused}
}

func (m *metrics) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	m.around(info.FullMethod, func() error {
		answer, err = handler(ctx, req)
		return err
	})
	return answer, err
}

func (m *metrics) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	m.around(info.FullMethod, func() error {
		err = handler(srv, stream)
		return err
	})
	return err
}

func (m *metrics) around(method string, handle func() error) {
	of := m.method(method)
	of.running.Inc()
	defer of.running.Dec()
	began := time.Now()
	err := handle()
	of.seconds.Observe(time.Since(began).Seconds())
	of.codes[min(status.Code(err), codes.Unauthenticated)].Inc()
}

// method returns the metrics of a method that is served.
func (m *metrics) method(name string) *methodMetrics {
	if of, ok := m.methods.Load(name); ok {
		return of.(*methodMetrics)
	}
	of := &methodMetrics{running: m.running.WithLabelValues(name), seconds: m.seconds.WithLabelValues(name)}
	for code := range of.codes {
		of.codes[code] = m.requests.WithLabelValues(name, codes.Code(code).String())
	}
	m.methods.Store(name, of)
	return of
}

// refuse counts a refusal by the reason that its trailer tells.
func (m *metrics) refuse(trailer metadata.MD) {
	for _, reason := range trailer.Get("reprise-error") {
		m.refused.WithLabelValues(reason).Inc()
	}
}
