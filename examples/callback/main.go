package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Sample struct {
		Patient string
		Lab     string // URL of the laboratory
	}
	// Finding is what the laboratory found.
	Finding struct{ Healthy bool }
)

var (
	Examine = reprise.NewOrchestration[Sample, string]("callback.examine")
	Analyse = reprise.NewActivity[Sample, Finding]("callback.analyse",
		reprise.Retry(3, time.Second), reprise.ScheduleToClose(30*24*time.Hour))
)

func examine(o *reprise.Orchestration, s Sample) (string, error) {
	finding, err := Analyse.Call(o, s) // like any other activity
	if err != nil {
		return "", err
	}
	if finding.Healthy {
		return s.Patient + " is healthy", nil
	}
	return s.Patient + " should see a doctor", nil
}

type clinic struct{ node string }

// analyse only asks for the analysis.
func (c clinic) analyse(ctx context.Context, s Sample) (Finding, error) {
	lab := outside.World{URL: s.Lab, Node: c.node}
	if _, err := lab.Post(ctx, "/samples", reprise.Attempt(ctx).Token()); err != nil {
		return Finding{}, err
	}
	return Finding{}, reprise.ErrPending // whoever has the token completes it
}

func bind(r *reprise.Registry, world outside.World) {
	reprise.Bind(r, Examine, examine)
	reprise.Bind(r, Analyse, clinic{world.Node}.analyse)
}

// lab is the laboratory: it keeps the newest token of each sample.
type lab struct {
	mu     sync.Mutex
	tokens map[string]string // by idempotency key
	came   chan string       // every token that comes
}

func newLab() *lab { return &lab{tokens: map[string]string{}, came: make(chan string, 16)} }

func (l *lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var token string
	if err := json.NewDecoder(r.Body).Decode(&token); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	l.tokens[r.Header.Get("Idempotency-Key")] = token
	l.mu.Unlock()
	l.came <- token
	fmt.Fprintln(w, 1)
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		lab := newLab()
		h, err := client.Run(ctx, c, Examine, Sample{"Ada", local.Serve(lab)})
		if err != nil {
			return err
		}
		token := <-lab.came
		fmt.Println("the laboratory has a sample, and works for a while")
		time.Sleep(time.Second)
		if err := client.CompleteActivity(ctx, c, token, Finding{Healthy: true}); err != nil {
			return err
		}
		verdict, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Println(verdict)
		return nil
	})
}
