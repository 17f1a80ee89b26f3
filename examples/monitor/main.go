package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	// Watch is the job to watch, and how.
	Watch struct {
		URL         string
		First, Most time.Duration // the first pause, and the longest
		Patience    time.Duration // in all
	}
	// Job is what the job says of itself.
	Job struct{ State, Result string }
	// Status is the custom status.
	Status struct {
		Polls int
		State string
		Next  time.Time
	}
	Outcome struct {
		Polls  int
		Result string
	}
)

var (
	Monitor = reprise.NewOrchestration[Watch, Outcome]("monitor.job")
	Poll    = reprise.NewActivity[string, Job]("monitor.poll", reprise.Retry(3, 100*time.Millisecond), reprise.Timeout(5*time.Second))

	ErrGaveUp = reprise.NewError("monitor.gave_up", "the job took too long")
)

func monitor(o *reprise.Orchestration, w Watch) (Outcome, error) {
	deadline := o.Now().Add(w.Patience)
	pause := w.First
	for polls := 1; ; polls++ {
		job, err := Poll.Call(o, w.URL)
		if err != nil {
			return Outcome{}, err
		}
		if job.State == "done" {
			return Outcome{polls, job.Result}, nil
		}
		next := o.Now().Add(pause)
		if next.After(deadline) {
			return Outcome{}, ErrGaveUp
		}
		if err := o.SetCustomStatus(Status{polls, job.State, next}); err != nil {
			return Outcome{}, err
		}
		if err := o.Sleep(pause); err != nil {
			return Outcome{}, err // somebody cancelled it
		}
		pause = min(2*pause, w.Most)
	}
}

func poll(ctx context.Context, url string) (job Job, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return job, reprise.NonRetryable(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return job, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return job, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	return job, json.NewDecoder(resp.Body).Decode(&job)
}

func bind(r *reprise.Registry, _ outside.World) {
	reprise.Bind(r, Monitor, monitor)
	reprise.Bind(r, Poll, poll)
}

// jobs is a service whose job is done when it was asked so often.
type jobs struct {
	enough int64
	asked  atomic.Int64
}

func (j *jobs) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	job := Job{State: "running"}
	if j.asked.Add(1) >= j.enough {
		job = Job{"done", "42"}
	}
	_ = json.NewEncoder(w).Encode(job) // whoever asked asks again
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		url := local.Serve(&jobs{enough: 5}) + "/jobs/1"
		h, err := client.Run(ctx, c, Monitor, Watch{url, 100 * time.Millisecond, time.Second, time.Minute})
		if err != nil {
			return err
		}
		polls := 0
		for in, err := range h.Watch(ctx) { // the cluster tells whenever something has changed
			if err != nil {
				return err
			}
			if in.CustomStatus == nil {
				continue
			}
			s, err := reprise.DecodePayload[Status](reprise.JSON, "status", in.CustomStatus)
			if err != nil {
				return err
			}
			if s.Polls > polls { // not what the instance waits for
				polls = s.Polls
				fmt.Printf("poll %d: %s, asks again at %s\n", s.Polls, s.State, s.Next.Local().Format(time.TimeOnly))
			}
		}
		outcome, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("the job was done at poll %d: %s\n", outcome.Polls, outcome.Result)
		return nil
	})
}
