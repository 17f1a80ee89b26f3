package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/partition/leader"
)

func TestMetrics(t *testing.T) {
	s, conn := dial(t, &fake{start: func(r leader.StartRequest) (leader.StartAnswer, error) {
		if r.Name == "full" {
			return leader.StartAnswer{}, leader.ErrOverloaded
		}
		return leader.StartAnswer{}, nil
	}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.metrics.all()...)
	hub := durabletask.NewTaskHubSidecarServiceClient(conn)
	for name, want := range map[string]codes.Code{"full": codes.ResourceExhausted, "o": codes.OK} {
		if _, err := hub.StartInstance(t.Context(), &durabletask.CreateInstanceRequest{Name: name, InstanceId: "canary-7161"}); status.Code(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	of := s.metrics.method(durabletask.TaskHubSidecarService_StartInstance_FullMethodName)
	if got := []float64{testutil.ToFloat64(of.codes[codes.OK]), testutil.ToFloat64(of.codes[codes.ResourceExhausted]), testutil.ToFloat64(of.running)}; !slices.Equal(got, []float64{1, 1, 0}) {
		t.Errorf("answered, refused and running: %v", got)
	}
	if got := testutil.ToFloat64(s.metrics.refused.WithLabelValues("overloaded")); got != 1 {
		t.Errorf("%v refused as overloaded", got)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(registry, "reprise_grpc_request_seconds"); err != nil || n != 1 {
		t.Errorf("%d methods, %v", n, err)
	}
}

// Every metric of the server is in the table of the docs, and every one of the table
// is there.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, exported := map[string]bool{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(reprise_(?:grpc|refused)_[a-z0-9_]+)` \\| (?:counter|gauge|histogram) \\|([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		documented[row[1]+" "+strings.ReplaceAll(strings.TrimSpace(row[2]), "`", "")] = true
	}
	descs := make(chan *prometheus.Desc, 16)
	for _, m := range newMetrics().all() {
		m.Describe(descs)
	}
	close(descs)
	for d := range descs {
		m := regexp.MustCompile(`fqName: "([^"]*)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String())
		exported[m[1]+" "+strings.ReplaceAll(m[2], ",", ", ")] = true
	}
	if len(exported) != 4 || !maps.Equal(documented, exported) {
		t.Errorf("documented: %v\nexported: %v", documented, exported)
	}
}

// The health of the node is that of all its services; who watches it hears of changes.
func TestHealth(t *testing.T) {
	var waits atomic.Bool
	s, conn := dialWith(t, &fake{}, Config{Logger: slog.New(slog.DiscardHandler), Ready: func(context.Context) error {
		if waits.Load() {
			return errors.New("it waits")
		}
		return nil
	}})
	h := healthgrpc.NewHealthClient(conn)
	check := func(service string, want healthgrpc.HealthCheckResponse_ServingStatus) {
		t.Helper()
		m, err := h.Check(t.Context(), &healthgrpc.HealthCheckRequest{Service: service})
		if err != nil || m.GetStatus() != want {
			t.Errorf("%q is %v, %v", service, m.GetStatus(), err)
		}
	}
	check("", healthgrpc.HealthCheckResponse_SERVING)
	check("TaskHubSidecarService", healthgrpc.HealthCheckResponse_SERVING)
	check("reprise.v1.RepriseService", healthgrpc.HealthCheckResponse_SERVING)
	if _, err := h.Check(t.Context(), &healthgrpc.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("another service: %v", err)
	}
	watch, err := h.Watch(t.Context(), &healthgrpc.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	hears := func(want healthgrpc.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if m, err := watch.Recv(); err != nil || m.GetStatus() != want {
			t.Errorf("heard %v, %v", m.GetStatus(), err)
		}
	}
	hears(healthgrpc.HealthCheckResponse_SERVING)
	waits.Store(true)
	hears(healthgrpc.HealthCheckResponse_NOT_SERVING)
	check("", healthgrpc.HealthCheckResponse_NOT_SERVING)
	waits.Store(false)
	hears(healthgrpc.HealthCheckResponse_SERVING)
	all, err := h.List(t.Context(), &healthgrpc.HealthListRequest{})
	if err != nil || len(all.GetStatuses()) < 3 {
		t.Errorf("%v, %v", all, err)
	}
	s.stop() // as Stop does first
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("when the server stops: %v", err)
	}
}
