package engine

import (
	"maps"
	"time"

	"github.com/reprise-run/reprise/history"
)

func (c code) operation(target history.InstanceID, name string, section int32) *step {
	s := &step{}
	s.Promise = c.CallEntity(&history.EntityOperationCalled{Target: target, Operation: name, Section: section}, func(*Promise) { s.done = true })
	return s
}

func (c code) lock(set ...history.InstanceID) *step {
	s := &step{}
	s.Promise = c.RequestLock(&history.EntityLockRequested{LockSet: set}, func(*Promise) { s.done = true })
	return s
}

// transfer moves money between two entities in a critical section that is left by a
// deferred function.
func (c code) transfer(from, to history.InstanceID, deposit string) (string, *history.Failure) {
	lock := c.lock(from, to)
	c.await(lock)
	defer func() {
		c.say("leaves")
		c.ReleaseLock(lock.Promise)
		c.ReleaseLock(lock.Promise)
	}()
	if got := c.await(c.operation(from, "withdraw", lock.ID())); got != "ok" {
		return "", &history.Failure{Message: got}
	}
	return c.await(c.operation(to, deposit, lock.ID())), nil
}

func init() {
	maps.Copy(programs, map[string]func(c code) (string, *history.Failure){
		"operation":       func(c code) (string, *history.Failure) { return c.await(c.operation("@e@a", "get", history.NoID)), nil },
		"other-operation": func(c code) (string, *history.Failure) { return c.await(c.operation("@e@a", "set", history.NoID)), nil },
		"other-target":    func(c code) (string, *history.Failure) { return c.await(c.operation("@e@b", "get", history.NoID)), nil },
		"other-section":   func(c code) (string, *history.Failure) { return c.await(c.operation("@e@a", "get", 0)), nil },
		"signal": func(c code) (string, *history.Failure) {
			c.SignalEntity(&history.EntityOperationSignaled{Target: "@e@a", Operation: "add", ScheduledTime: c.Now().Add(time.Hour)})
			return "signalled", nil
		},
		"signal-other": func(c code) (string, *history.Failure) {
			c.SignalEntity(&history.EntityOperationSignaled{Target: "@e@a", Operation: "sub"})
			return "signalled", nil
		},
		"drop-operation": func(c code) (string, *history.Failure) {
			op := c.operation("@e@a", "get", history.NoID)
			got := c.call("a")
			c.Cancel(op.Promise, "")
			c.Cancel(op.Promise, "")
			return got + c.call("b"), nil
		},
		"transfer":  func(c code) (string, *history.Failure) { return c.transfer("@acct@a", "@acct@b", "deposit") },
		"transfer2": func(c code) (string, *history.Failure) { return c.transfer("@acct@a", "@acct@c", "deposit") },
		"transfer3": func(c code) (string, *history.Failure) { return c.transfer("@acct@a", "@acct@b", "give") },
		"impatient": func(c code) (string, *history.Failure) { // gives a lock up when an activity is over first
			lock := c.lock("@acct@a")
			a := c.activity("a")
			c.Wait(func() bool { return lock.done || a.done })
			if a.done {
				c.Cancel(lock.Promise, "")
				return "gave up", nil
			}
			c.Cancel(lock.Promise, "") // too late
			c.ReleaseLock(lock.Promise)
			return "had it", nil
		},
	})
}
