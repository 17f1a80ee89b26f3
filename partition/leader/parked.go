package leader

import (
	"bytes"
	"slices"

	"github.com/reprise-run/reprise/partition"
)

// park lets an instance wait, visibly, for other code. All its mail is stored.
func (c *core) park(l *live, why partition.Why, reason string) error {
	return c.parkFor(l, partition.Parked{Why: why, Name: l.rec.Name, Version: l.rec.Version, Reason: reason})
}

// parkCrowded lets an instance wait, visibly, until there is room for what it sends.
func (c *core) parkCrowded(l *live, e *crowdedError) error {
	return c.parkFor(l, partition.Parked{Why: partition.Crowded, Name: e.name, Reason: e.reason})
}

func (c *core) parkFor(l *live, p partition.Parked) error {
	if l.rec.Parked == p {
		return c.store(l) // it was tried again in vain
	}
	if p.Why != partition.Unbound {
		c.bound(l)
	}
	if err := c.replace(l); err != nil {
		return err
	}
	all := l.mail
	if l.entity != nil {
		all = l.entity.unstored()
	} else if l.run != nil {
		all = append(append([]*mail(nil), l.run.mail...), l.mail...)
	}
	if err := partition.Park(&c.view, l.addr, l.rec, p, rows(all), c.now); err != nil {
		return err
	}
	l.entity.stored(l)
	if err := c.committed(l, all); err != nil {
		return err
	}
	c.stats.Parked++
	if m := c.cfg.Meter; m != nil {
		m.Parked(p.Why)
	}
	if p.Why != partition.Unbound && p.Why != partition.Crowded { // which there may be many of
		c.log.Warn("an instance is parked", "instance", l.addr.String(), "name", l.rec.Name, "reason", p.Reason)
	}
	return nil
}

// parkAfter parks an instance whose episode says that the code does not fit. If
// the bindings changed since the executor was asked, it is asked once more.
func (c *core) parkAfter(r *run, why partition.Why, reason string) error {
	l := r.live
	if err := c.park(l, why, reason); err != nil {
		return err
	}
	if r.bindings != c.bindings {
		c.enqueue(l)
	} else {
		l.probe = false
	}
	return nil
}

// retrial goes through parked instances and tries them again.
type retrial struct {
	from, to []byte
	// room is the entity for which they wait, jam what of a lane they wait for; nil:
	// another reason.
	room *InstanceRef
	jam  *jam
	// stuck: of the instances that did not yield.
	stuck bool
	// probe: of the instances that wait for one name only the first is tried; if
	// the name is bound by now, the others follow.
	probe bool
}

// retryParked plans to try all parked instances again; those that do not yield
// only when the code changed.
func (c *core) retryParked(stuckToo bool) {
	// Those under way are a part of this one, except where it leaves out some.
	c.retrials = slices.DeleteFunc(c.retrials, func(t retrial) bool { return stuckToo || !t.stuck })
	for _, why := range []partition.Why{partition.Unbound, partition.Nondeterministic, partition.Stuck, partition.Unrecordable, partition.Crowded, partition.Incomplete} {
		if why == partition.Stuck && !stuckToo {
			continue
		}
		from, to := partition.ParkedRange(c.cfg.Partition, why)
		c.retrials = append(c.retrials, retrial{from: from, to: to, probe: why == partition.Unbound, stuck: why == partition.Stuck})
	}
}

// bound is called when an instance got on. If it was tried on behalf of those
// that wait for the same name, they are tried too.
func (c *core) bound(l *live) {
	if !l.probe {
		return
	}
	l.probe = false
	if l.rec.Parked.Why != partition.Unbound {
		return
	}
	from, to := partition.ParkedNameRange(c.cfg.Partition, l.rec.Parked)
	c.retrials = append(c.retrials, retrial{from: from, to: to})
}

// pageParked tries a page of parked instances.
func (c *core) pageParked() error {
	for len(c.retrials) > 0 && len(c.runnable) < c.cfg.Limits.Runnable {
		t := &c.retrials[0]
		if c.noRoom(t) {
			c.retrials = c.retrials[1:]
			continue
		}
		done, err := c.pageOf(t)
		if err != nil {
			return err
		}
		if !done {
			return nil
		}
		c.retrials = c.retrials[1:]
	}
	return nil
}

func (c *core) pageOf(t *retrial) (done bool, err error) {
	limit := page
	if t.probe {
		limit = 1
	}
	var keys [][]byte
	err = c.view.Scan(t.from, t.to, func(key, _ []byte) bool {
		keys = append(keys, bytes.Clone(key))
		return len(keys) < limit
	})
	if err != nil {
		return true, err
	}
	for _, key := range keys {
		addr, p, err := partition.ParseParkedKey(key)
		if err != nil {
			return true, err
		}
		l, err := c.load(InstanceRef{addr.Hub, addr.ID})
		if err != nil {
			return true, err
		}
		if l.rec != nil && l.rec.Parked.Why == p.Why {
			l.probe = l.probe || t.probe
			c.enqueue(l)
		}
		t.from = append(key, 0)
		if t.probe {
			_, t.from = partition.ParkedNameRange(c.cfg.Partition, p)
		}
	}
	return len(keys) < limit, nil
}
