package testcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main(map[string]func(){
		"echo": func() {
			spec := Self()
			Serve(spec, func(*http.Request) (any, error) { return spec, nil }, map[string]http.HandlerFunc{
				"/burn": func(w http.ResponseWriter, r *http.Request) {
					for {
						if u, err := OwnUsage(); err != nil || u.CPU >= 50*time.Millisecond {
							break
						}
					}
					_, _ = io.Copy(w, r.Body)
				},
			})
		},
		"fail": func() { Fatal(errors.New("as planned")) },
	})
	os.Exit(m.Run())
}

func start(t *testing.T, role string) (*Cluster, error) {
	t.Helper()
	c, err := Start(t.Context(), Config{Dir: t.TempDir(), Nodes: 2, Role: role, Extra: "for the role"})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func TestLifeOfANode(t *testing.T) {
	c, err := start(t, "echo")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Node("n2")
	var spec Spec
	report := func() error { return n.Report(t.Context(), &spec) }
	if err := report(); err != nil {
		t.Fatal(err)
	}
	if spec.Name != "n2" || spec.Extra != "for the role" || len(spec.Peers) != 2 || spec.APIAddr != c.APIAddrs()[1] {
		t.Errorf("the node was told %+v", spec)
	}
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := report(); err == nil {
		t.Error("a killed node answers")
	}
	if err := c.Died(); err != nil {
		t.Errorf("a node that was killed counts as died: %v", err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := report(); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if answer, err := n.Post(t.Context(), "/burn", []byte("hello")); err != nil || string(answer) != "hello" {
		t.Errorf("post: %q, %v", answer, err)
	}
	u, err := n.Usage()
	if errors.Is(err, ErrUsageUnknown) {
		return
	}
	if err != nil || u.CPU < 50*time.Millisecond || u.PeakRSSBytes < 1<<20 {
		t.Errorf("usage after 50 ms of work: %+v, %v", u, err)
	}
	if err := n.ResetPeak(); err != nil {
		t.Errorf("reset peak: %v", err)
	}
}

func TestNodeThatFailsTellsWhy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Start(ctx, Config{Dir: t.TempDir(), Nodes: 1, Role: "fail"})
	if err == nil || !strings.Contains(fmt.Sprint(err), "as planned") {
		t.Errorf("error is %v, want the last words of the process", err)
	}
}
