package leader

import (
	"github.com/reprise-run/reprise/partition"
)

// park lets an instance wait, visibly, for other code. All its mail is stored.
func (c *core) park(l *live, why partition.Why, reason string) error {
	p := partition.Parked{Why: why, Name: l.rec.Name, Version: l.rec.Version, Reason: reason}
	if l.rec.Parked == p {
		return c.store(l) // it was tried again in vain
	}
	if l.rec.Parked.Why != partition.NotParked && l.rec.Parked.Why == partition.Unbound {
		c.bound(l)
	}
	if err := c.replace(l); err != nil {
		return err
	}
	all := l.mail
	if l.run != nil {
		all = append(append([]*mail(nil), l.run.mail...), l.mail...)
	}
	if err := partition.Park(&c.view, l.addr, l.rec, p, rows(all), c.now); err != nil {
		return err
	}
	c.committed(l, all)
	c.stats.Parked++
	if why != partition.Unbound {
		c.log.Warn("an instance is parked", "instance", l.addr.String(), "name", l.rec.Name, "reason", reason)
	}
	return nil
}

// retrial goes through parked instances and tries them again.
type retrial struct {
	from, to []byte
	// probe: of the instances that wait for one name only the first is tried; if
	// the name is bound by now, the others follow.
	probe bool
}

// retryParked plans to try all parked instances again; those that do not yield
// only when the code changed.
func (c *core) retryParked(stuckToo bool) {
	for _, why := range []partition.Why{partition.Unbound, partition.Nondeterministic, partition.Stuck, partition.Unrecordable} {
		if why == partition.Stuck && !stuckToo {
			continue
		}
		from, to := partition.ParkedRange(c.cfg.Partition, why)
		c.retrials = append(c.retrials, retrial{from, to, why == partition.Unbound})
	}
}

// bound is called when an instance that waited for its name got on: so will the
// others.
func (c *core) bound(l *live) {
	from, to := partition.ParkedNameRange(c.cfg.Partition, l.rec.Parked)
	c.retrials = append(c.retrials, retrial{from, to, false})
}

// pageParked tries a page of parked instances.
func (c *core) pageParked() error {
	for len(c.retrials) > 0 && len(c.runnable) < c.cfg.Limits.Runnable {
		t := &c.retrials[0]
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
	for range page {
		var key []byte
		err := c.view.Scan(t.from, t.to, func(k, _ []byte) bool {
			key = append(key, k...)
			return false
		})
		if err != nil || key == nil {
			return true, err
		}
		addr, p, err := partition.ParseParkedKey(key)
		if err != nil {
			return true, err
		}
		l, err := c.load(InstanceRef{addr.Hub, addr.ID})
		if err != nil {
			return true, err
		}
		if l.rec != nil && l.rec.Parked.Why == p.Why && l.run == nil {
			c.enqueue(l)
		}
		t.from = append(key, 0)
		if t.probe {
			_, t.from = partition.ParkedNameRange(c.cfg.Partition, p)
		}
	}
	return false, nil
}
