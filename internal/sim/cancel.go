package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// vigil is the input of an orchestration that waits for what never comes, until it is
// cancelled; then it cleans up.
type vigil struct {
	// Kind is what it waits for: a timer, an event, an activity, or a vigil below it.
	Kind  string
	Token uint64
}

var (
	keepVigil = reprise.NewOrchestration[vigil, reprise.None]("sim.vigil")
	tidy      = reprise.NewActivity[job, uint64]("sim.tidy", reprise.Retry(100, 200*time.Millisecond))
	never     = reprise.NewEvent[int]("sim.never")
)

// childOf is the ID of the vigil below another one.
func childOf(id history.InstanceID) history.InstanceID { return "kid-of-" + id }

func runVigil(o *reprise.Orchestration, v vigil) (none reprise.None, err error) {
	if err = o.Sleep(time.Millisecond); err == nil {
		switch v.Kind {
		case "event":
			_, err = never.Await(o)
		case "activity":
			_, err = work.Call(o, job{Token: v.Token, Takes: 10_000 * time.Hour})
		case "child":
			_, err = keepVigil.Call(o, vigil{"timer", v.Token + 1}, reprise.ChildID(childOf(o.InstanceID())))
		default:
			err = o.Sleep(10_000 * time.Hour)
		}
	}
	if err == nil {
		return none, errors.New("what never comes has come")
	}
	return none, errors.Join(err, o.Shielded(func(o *reprise.Orchestration) error {
		_, err := tidy.Call(o, job{Token: v.Token, Takes: 10 * time.Millisecond})
		return err
	}))
}

// cancelling is a vigil whose cancellation was acknowledged.
type cancelling struct {
	ref    leader.InstanceRef
	child  bool // it may have a vigil below it
	reason string
}

// cancel starts a vigil and cancels it a while later, sometimes twice.
func (c *client) cancel(ctx context.Context) {
	v := vigil{[]string{"timer", "event", "activity", "child"}[c.rng.IntN(4)], c.rng.Uint64() >> 12}
	ref, ok := c.startBanking("vigil-", keepVigil.Name(), v)
	if !ok {
		return
	}
	pause(ctx, time.Duration(c.rng.IntN(1500))*time.Millisecond)
	reason := fmt.Sprintf("%s has seen enough", ref.ID)
	for i := range 1 + c.rng.IntN(2) {
		end := leader.CancelRequest{Instance: ref, Reason: reason, Identity: c.identity()}
		if i > 0 {
			end.Reason = "of what was cancelled before"
		}
		err, _ := c.ask(&end.Identity, func(ctx context.Context, node caller) error { return node.Cancel(ctx, end) })
		if errors.Is(err, leader.ErrNotFound) {
			c.complain("G1: %s, whose start was acknowledged, is not there to be cancelled", ref.ID)
		}
		if err != nil {
			return // whether it is cancelled, and why, is not known
		}
		if i == 0 {
			c.mu.Lock()
			c.canceled = append(c.canceled, cancelling{ref, v.Kind == "child", reason})
			c.mu.Unlock()
		}
	}
}

// checkCanceled demands of each vigil that it ended as cancelled, with the reason of the
// first that cancelled it, and that it cleaned up once, unless it never began; and so of
// the vigil below it.
func (l *workload) checkCanceled(book *ledger) {
	c := l.client(0, 4)
	for _, w := range l.canceled {
		if len(l.wrong) >= maxProblems {
			return
		}
		refs := []leader.InstanceRef{w.ref}
		if w.child {
			refs = append(refs, leader.InstanceRef{Hub: w.ref.Hub, ID: childOf(w.ref.ID)})
		}
		for _, ref := range refs {
			got, err := c.awaitEnd(ref)
			if errors.Is(err, leader.ErrNotFound) && ref != w.ref {
				continue // cancelled before it was started
			}
			if err != nil || got.Status != history.Canceled || got.Failure == nil || !strings.Contains(got.Failure.Message, w.reason) {
				l.complain("G1: %s, cancelled because %q, is %v; %v, failure %+v, waits for %q", ref.ID, w.reason, got.Status, err, got.Failure, got.Waiting)
				continue
			}
			events, err := c.history(ref, got.Execution)
			if err != nil {
				l.complain("G1: history of %s: %v", ref.ID, err)
				continue
			}
			began, asked, tidied := false, 0, 0
			var task int32
			for _, e := range events {
				switch b := e.Body.(type) {
				case *history.TimerCreated:
					began = true
				case *history.TaskScheduled:
					if b.Name == tidy.Name() {
						asked++
						task = e.ID
					}
				case *history.TaskCompleted:
					tidied++ // nothing else completes
				}
			}
			key := fmt.Sprintf("%s/%s/%s/%d", ref.Hub, ref.ID, got.Execution, task)
			if want := map[bool]int{true: 1}[began]; asked != want || tidied != want || began && !book.did(key) {
				l.complain("G4: %s began: %v; it cleaned up %d times, of which %d are recorded as done; the ledger has it: %v", ref.ID, began, asked, tidied, book.did(key))
			}
		}
	}
}

// bindVigil binds the vigil. Its cleanup writes to the ledger.
func bindVigil(r *reprise.Registry, note func(ctx context.Context)) {
	reprise.Bind(r, keepVigil, runVigil)
	reprise.Bind(r, tidy, func(ctx context.Context, j job) (uint64, error) {
		pause(ctx, j.Takes)
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		note(ctx)
		return resultOf(j.Token), nil
	})
}
