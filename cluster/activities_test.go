package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// jobs runs one activity after the other, as the test binds and schedules it.
var (
	job  = reprise.NewActivity[string, string]("job")
	jobs = reprise.NewOrchestration[int, []string]("jobs")
)

// ledger is what activities wrote down outside of the cluster.
type ledger struct {
	mu    sync.Mutex
	lines []string
}

func (l *ledger) write(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *ledger) read() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// bindJobs binds the activity, and an orchestration that starts so many at a time,
// each with the options.
func bindJobs(fn func(ctx context.Context, node, in string) (string, error), opts ...reprise.ActivityOption) func(*reprise.Registry, string) {
	return func(r *reprise.Registry, node string) {
		reprise.Bind(r, job, func(ctx context.Context, in string) (string, error) { return fn(ctx, node, in) })
		reprise.Bind(r, jobs, func(o *reprise.Orchestration, n int) ([]string, error) {
			var all []reprise.Future[string]
			for i := range n {
				all = append(all, job.Start(o, fmt.Sprint(i), opts...))
			}
			return reprise.All(o, all...)
		})
	}
}

// three starts three nodes with leaders on all of them.
func (w *testWorld) three() {
	w.t.Helper()
	for _, n := range []string{"a", "b", "c"} {
		w.start(n, 3)
	}
	w.ready()
	w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
}

// begin starts jobs as an instance whose partition is led by the node.
func (w *testWorld) begin(at string, n int) leader.InstanceRef {
	w.t.Helper()
	for i := 0; ; i++ {
		req := startOf("jobs", fmt.Sprint("j", i), n)
		p, _ := w.nodes["a"].partitionOf(req.Instance)
		if !w.nodes[at].leads(p) {
			continue
		}
		if _, err := w.nodes[at].StartInstance(w.within(time.Minute), req); err != nil {
			w.t.Fatal(err)
		}
		return req.Instance
	}
}

// end waits for the end of an instance by way of a node.
func (w *testWorld) end(by string, ref leader.InstanceRef) leader.Instance {
	w.t.Helper()
	in, err := w.nodes[by].Wait(w.within(5*time.Minute), leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

// until waits until ok.
func (w *testWorld) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s does not become true", what)
		}
	}
}

// Activities that were left to somebody outside wait for it, through the death of the
// node that ran them and led their partition; none runs again.
func TestCompleteFromOutside(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		var tokens ledger
		w.bind = bindJobs(func(ctx context.Context, _, _ string) (string, error) {
			tokens.write("%s", reprise.Attempt(ctx).Token())
			return "", fmt.Errorf("ask a person: %w", reprise.ErrPending)
		}, reprise.Timeout(time.Hour))
		w.three()
		ref := w.begin("b", 6)
		w.until("six are left outside", func() bool {
			in, err := w.nodes["a"].Status(w.within(time.Minute), leader.StatusRequest{Instance: ref})
			return err == nil && strings.Count(strings.Join(in.Waiting, "\n"), "waits for completion by token at1-") == 6
		})
		w.crash("b")
		all := tokens.read()
		for i, text := range all {
			token, err := history.ParseAttemptToken(text)
			if err != nil {
				t.Fatal(err)
			}
			req := leader.CompleteRequest{Token: token, Result: history.Payload(fmt.Sprintf(`"by %d"`, i)), Identity: leader.RequestIdentity{ID: fmt.Sprint("c", i), Sent: time.Now()}}
			for range 2 {
				if err := w.nodes["c"].CompleteActivity(w.within(time.Minute), req); err != nil {
					t.Fatalf("complete %d: %v", i, err)
				}
			}
			req.Identity.ID += " again"
			if err := w.nodes["a"].CompleteActivity(w.within(time.Minute), req); !errors.Is(err, leader.ErrStale) {
				t.Errorf("complete %d once more: %v", i, err)
			}
		}
		in := w.end("a", ref)
		var results []string
		if err := json.Unmarshal(in.Output, &results); err != nil || in.Status != history.Completed || len(results) != 6 {
			t.Errorf("%v: %s, %v, %+v", in.Status, in.Output, err, in.Failure)
		}
		if again := tokens.read(); len(again) != 6 {
			t.Errorf("%d attempts of 6 activities", len(again))
		}
	})
}

// An attempt goes on where the one before it was when its node died.
func TestProgressSurvivesTheNode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		var seen ledger
		w.bind = bindJobs(func(ctx context.Context, node, _ string) (string, error) {
			from, err := reprise.Progress[int](ctx)
			seen.write("%s from %d", node, from)
			for i := from; err == nil && i < 20; i++ {
				time.Sleep(500 * time.Millisecond)
				err = reprise.Heartbeat(ctx, i+1)
			}
			return node, err
		}, reprise.HeartbeatTimeout(2*time.Second))
		w.three()
		ref := w.begin("b", 1) // the leader's own node is preferred
		w.until("it runs", func() bool { return len(seen.read()) == 1 })
		time.Sleep(6 * time.Second) // it has saved progress a dozen times
		w.crash("b")
		in := w.end("a", ref)
		lines := seen.read()
		var node string
		var from int
		if len(lines) != 2 || lines[0] != "b from 0" {
			t.Fatalf("%v: %q", in.Status, lines)
		}
		if _, err := fmt.Sscanf(lines[1], "%s from %d", &node, &from); err != nil || from < 8 || from > 12 || in.Status != history.Completed {
			t.Errorf("%v: %q, %+v", in.Status, lines, in.Failure)
		}
	})
}

// An attempt that is silent for too long fails and is made again; one that is not
// wanted any more hears so by its heartbeat.
func TestSilence(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		var seen ledger
		w.bind = bindJobs(func(ctx context.Context, _, _ string) (string, error) {
			a := reprise.Attempt(ctx)
			if a.Number == 1 {
				if err := reprise.Heartbeat(ctx, "half"); err != nil {
					return "", err
				}
				<-ctx.Done()
				return "", ctx.Err()
			}
			progress, err := reprise.Progress[string](ctx)
			seen.write("attempt %d after %s, %v", a.Number, progress, err)
			for err == nil {
				time.Sleep(100 * time.Millisecond)
				err = reprise.Heartbeat(ctx, nil)
			}
			seen.write("%v", err)
			return "", err
		}, reprise.HeartbeatTimeout(3*time.Second), reprise.Retry(2, time.Second))
		w.three()
		ref := w.begin("b", 1)
		w.until("the second attempt runs", func() bool { return len(seen.read()) == 1 })
		in, err := w.nodes["a"].Status(w.within(time.Minute), leader.StatusRequest{Instance: ref})
		if err != nil || !strings.Contains(strings.Join(in.Waiting, ""), "silent for longer than 3s") {
			t.Errorf("%v, %v", in.Waiting, err)
		}
		time.Sleep(10 * time.Second) // longer than it may be silent: now it is not
		if err := w.nodes["a"].Terminate(w.within(time.Minute), leader.TerminateRequest{Instance: ref}); err != nil {
			t.Fatal(err)
		}
		w.until("it heard", func() bool { return len(seen.read()) == 2 })
		lines := seen.read()
		if lines[0] != "attempt 2 after half, <nil>" || !strings.Contains(lines[1], "the orchestration has ended") {
			t.Errorf("%q", lines)
		}
	})
}

// Of attempts that are made at most once, none is made twice, whatever dies: the node
// that runs it, its partition's leader, or both.
func TestAtMostOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		var ran ledger
		w.bind = func(r *reprise.Registry, _ string) {
			reprise.Bind(r, job, func(ctx context.Context, in string) (string, error) {
				ran.write("%s", reprise.Attempt(ctx).Key)
				time.Sleep(100 * time.Millisecond)
				return in, nil
			})
			reprise.Bind(r, jobs, func(o *reprise.Orchestration, n int) ([]string, error) {
				var all []reprise.Future[string]
				for i := range n {
					all = append(all, job.Start(o, fmt.Sprint(i), reprise.AtMostOnce(), reprise.Retry(5, time.Second)))
				}
				outcomes := map[string]int{}
				for _, f := range all {
					switch _, err := f.Await(o); {
					case err == nil:
						outcomes["done"]++
					case errors.Is(err, reprise.ErrOutcomeUnknown):
						outcomes["unknown"]++
					default:
						return nil, err
					}
				}
				return []string{fmt.Sprint(outcomes["done"]), fmt.Sprint(outcomes["unknown"])}, nil
			})
		}
		w.configure = func(c *Config) { c.Activities = 8 }
		w.three()
		const count, each = 12, 10
		for i := range count {
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("jobs", fmt.Sprint("o", i), each)); err != nil {
				t.Fatal(err)
			}
		}
		for _, victim := range []string{"b", "c"} {
			time.Sleep(120 * time.Millisecond) // some run, and some wait
			w.crash(victim)
			time.Sleep(5 * time.Second) // until its death is known
			w.start(victim, 3)
			w.ready()
		}
		done, unknown := 0, 0
		for i := range count {
			in := w.end("a", leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("o", i))})
			var outcomes []string
			var d, u int
			if err := json.Unmarshal(in.Output, &outcomes); err != nil || len(outcomes) != 2 {
				t.Fatalf("%v: %s, %+v", in.Status, in.Output, in.Failure)
			}
			if _, err := fmt.Sscan(strings.Join(outcomes, " "), &d, &u); err != nil {
				t.Fatal(err)
			}
			done, unknown = done+d, unknown+u
		}
		runs := map[string]int{}
		for _, key := range ran.read() {
			if runs[key]++; runs[key] > 1 {
				t.Errorf("%s ran %d times", key, runs[key])
			}
		}
		if done+unknown != count*each || len(runs) < done {
			t.Errorf("%d done, %d unknown, %d ran", done, unknown, len(runs))
		}
		if unknown == 0 {
			t.Error("no outcome was unknown: nothing was tested")
		}
	})
}
