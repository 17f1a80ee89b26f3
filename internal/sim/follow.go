package sim

import (
	"context"
	"time"

	"github.com/reprise-run/reprise/partition/leader"
)

// followers is how many callers watch orchestrations.
const followers = 4

// followNewest watches one orchestration after the other, always the newest.
func (c *client) followNewest(ctx context.Context) {
	for pause(ctx, time.Duration(c.rng.IntN(1000))*time.Millisecond) {
		c.mu.Lock()
		var newest *acked
		if n := len(c.acked); n > 0 {
			newest = c.acked[n-1]
		}
		c.mu.Unlock()
		if newest != nil {
			c.follow(newest.ref)
		}
	}
}

// follow watches an orchestration by way of one random node after the other, until it
// has ended or shows nothing new for as long as the client is patient: what it is told
// never goes back, whoever leads (G10).
func (c *client) follow(ref leader.InstanceRef) {
	var last leader.WatchAnswer
	for !last.Instance.Status.Ended() {
		var a leader.WatchAnswer
		err, _ := c.ask(nil, func(ctx context.Context, node caller) (err error) {
			a, err = node.Watch(ctx, leader.WatchRequest{Instance: ref, Seen: last.Seen})
			return err
		})
		if err != nil {
			return
		}
		was, is := last.Instance, a.Instance
		switch {
		case is.HistoryEvents < was.HistoryEvents, is.Updated.Before(was.Updated), was.Execution != "" && is.Execution != was.Execution:
			c.complain("G10: a watch of %s went back from %v with %d events at %v to %v with %d at %v",
				ref.ID, was.Status, was.HistoryEvents, was.Updated, is.Status, is.HistoryEvents, is.Updated)
		case a.Seen.Sum == last.Seen.Sum:
			c.complain("G10: a watch of %s told twice of %v with %d events", ref.ID, is.Status, is.HistoryEvents)
		}
		last = a
	}
	c.followed.Add(1)
}
