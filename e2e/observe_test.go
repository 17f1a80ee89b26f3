package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/internal/freeaddr"
)

// TestObserved: a node tells its metrics, its health and, if asked for, its profiles.
func TestObserved(t *testing.T) {
	t.Parallel()
	at, err := freeaddr.Loopback()
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		t.Helper()
		answer, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	n := newNode(t, "n1", "--samples", "--http", at)
	n.start(t)
	n.client().run(t, "start", "hello", "--input", `["Uji"]`, "--wait").want(t, 0, `["Hello, Uji!"]`+"\n")
	for path, want := range map[string][]string{
		"/healthz": {"ok\n"},
		"/readyz":  {"ok\n"},
		"/metrics": {
			"\nreprise_groups_leaderless 0\n", "\nreprise_fsync_seconds_count ", "\nreprise_turns_total{partition=", "\ngo_goroutines ", "\nprocess_resident_memory_bytes ",
			`reprise_grpc_requests_total{code="OK",method="/TaskHubSidecarService/StartInstance"} 1`,
		},
	} {
		status, text := get(path)
		if status != http.StatusOK {
			t.Errorf("%s: %d %.200s", path, status, text)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q", path, w)
			}
		}
	}
	if status, _ := get("/debug/pprof/goroutine"); status != http.StatusNotFound {
		t.Errorf("profiles that nobody asked for: %d", status)
	}
	n.stop(t)
	n.more = append(n.more, "--pprof")
	n.start(t)
	if status, text := get("/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(text, "goroutine profile") {
		t.Errorf("profiles: %d %.200s", status, text)
	}
}
