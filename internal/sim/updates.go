package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// ledgerPage is the input of an orchestration that enters what it is asked to, in the
// order in which it is asked, and continues as new after every third entry.
type ledgerPage struct {
	Have []int
	// Slow: it runs an activity before it replies.
	Slow bool
}

var (
	keepBook = reprise.NewOrchestration[ledgerPage, []int]("sim.book")
	enter    = reprise.NewUpdate[int, int]("sim.enter")
)

// endOfBook is the entry that is none, and after which the book is closed.
const endOfBook = -1

func runBook(o *reprise.Orchestration, p ledgerPage) ([]int, error) {
	entries, closed := 0, false
	add := func(n int) int {
		if n == endOfBook {
			closed = true
		} else if !closed {
			p.Have = append(p.Have, n)
			entries++
		}
		return len(p.Have)
	}
	if !p.Slow {
		enter.Handle(o, func(n int) (int, error) { return add(n), nil })
		o.WaitUntil(func() bool { return closed || entries >= 3 })
	}
	for p.Slow && !closed && entries < 3 {
		asked, err := enter.Receive(o).Await(o)
		if err != nil {
			return nil, err
		}
		if _, err := work.Call(o, job{Token: uint64(asked.In + 2), Takes: 5 * time.Millisecond}); err != nil {
			return nil, err
		}
		asked.Reply(add(asked.In), nil)
	}
	if closed {
		return p.Have, nil
	}
	return nil, keepBook.ContinueAsNew(o, p)
}

// bookkeeping is a book that was closed. Entries that are true were acknowledged, the
// others may have been made.
type bookkeeping struct {
	ref     leader.InstanceRef
	entries []bool
}

// keep makes entries in a book, each after the reply to the one before, and closes it.
func (c *client) keep(ctx context.Context) {
	ref, ok := c.startBanking("book-", keepBook.Name(), ledgerPage{Slow: c.rng.IntN(2) == 0})
	if !ok {
		return
	}
	b := bookkeeping{ref: ref}
	last, certain := 0, 0 // the last place that was told, and how many are known to be there
	for i := range 2 + c.rng.IntN(8) {
		req := leader.UpdateRequest{Instance: ref, Name: enter.Name(), Input: history.Payload(fmt.Sprint(i)), Identity: c.identity()}
		place, err := c.enter(&req, false)
		b.entries = append(b.entries, err == nil)
		if err == nil {
			certain++
			if place <= last || place < certain || place > len(b.entries) {
				c.complain("G5: entry %d of %s, of which %d are certain, is in place %d, after %d", i, ref.ID, certain, place, last)
			}
			last = place
			if c.rng.IntN(3) == 0 {
				if again, err := c.enter(&req, true); err == nil && again != place {
					c.complain("G5: update %s of %s was answered with %d, and with %d when it was repeated", req.Identity.ID, ref.ID, place, again)
				}
			}
		}
		pause(ctx, time.Duration(c.rng.IntN(300))*time.Millisecond)
	}
	end := leader.UpdateRequest{Instance: ref, Name: enter.Name(), Input: history.Payload(fmt.Sprint(endOfBook)), Identity: c.identity()}
	if _, err := c.enter(&end, false); err != nil {
		return // whether it is closed is not known
	}
	c.mu.Lock()
	c.books = append(c.books, b)
	c.mu.Unlock()
}

// enter makes an entry and returns its place. Again: it was made before, and may not be
// stamped anew, which would make it another one.
func (c *client) enter(req *leader.UpdateRequest, again bool) (place int, err error) {
	var reply leader.UpdateReply
	err, _ = c.ask(&req.Identity, func(ctx context.Context, node caller) (err error) {
		reply, err = node.Update(ctx, *req)
		if again && errors.Is(err, leader.ErrRequestExpired) {
			return leader.ErrRequestExpired
		}
		return err
	})
	switch {
	case errors.Is(err, leader.ErrNotFound):
		c.complain("G1: update %s finds no instance %s, whose start was acknowledged", req.Identity.ID, req.Instance.ID)
	case err == nil && reply.Failure != nil:
		c.complain("G5: update %s of %s failed: %+v", req.Identity.ID, req.Instance.ID, reply.Failure)
		err = errors.New(reply.Failure.Message)
	case err == nil:
		err = json.Unmarshal(reply.Result, &place)
	}
	return place, err
}

// checkBooks demands of each book that every acknowledged entry is in it once and in
// order, also through continue-as-new, and that no other entry is in it twice.
func (l *workload) checkBooks() {
	c := l.client(0, 5)
	for _, b := range l.books {
		if len(l.wrong) >= maxProblems {
			return
		}
		got, err := c.awaitEnd(b.ref)
		var entries []int
		if err == nil && got.Status == history.Completed {
			err = json.Unmarshal(got.Output, &entries)
		}
		times := make([]int, len(b.entries))
		last, ordered := -1, true
		for _, n := range entries {
			times[n]++
			if b.entries[n] {
				ordered = ordered && n > last
				last = n
			}
		}
		for n, acknowledged := range b.entries {
			if times[n] > 1 || acknowledged && times[n] == 0 {
				ordered = false
			}
		}
		if err != nil || got.Status != history.Completed || !ordered {
			l.complain("G5: %s is %v with the entries %v; acknowledged were %v; %v, failure %+v, waits for %q", b.ref.ID, got.Status, entries, b.entries, err, got.Failure, got.Waiting)
		}
	}
}
