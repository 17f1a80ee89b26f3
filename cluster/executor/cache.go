package executor

import (
	"container/list"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/partition/leader"
)

// keptExecution is an execution between two episodes.
type keptExecution struct {
	key      leader.ExecutionKey
	name     string
	label    string // of the user's goroutine
	code     *engine.Execution
	episodes int64 // how many it has seen
	bytes    int64 // of the payloads in its history
	counted  int64 // what the cache counts it for
}

// What a kept execution takes, roughly, measured on a million armed timers: itself
// with its coroutine, and each thing that its code waits for.
const (
	executionBytes = 12 << 10
	pendingBytes   = 600
)

// share is what one execution counts for at most: a part of the cache's bytes. What
// it holds in memory is much less than a long history, which costs most to replay;
// and one that is long must not drive all others out.
const share = 8

// cache holds kept executions, bounded by their number and bytes; the one that
// was used longest ago leaves first. It is not safe for concurrent use.
type cache struct {
	maxExecutions int
	maxBytes      int64
	byKey         map[leader.ExecutionKey]*list.Element // of *keptExecution
	used          *list.List                            // newest first
	bytes         int64
}

func newCache(maxExecutions int, maxBytes int64) *cache {
	return &cache{maxExecutions: maxExecutions, maxBytes: maxBytes, byKey: make(map[leader.ExecutionKey]*list.Element), used: list.New()}
}

// put adds an execution and returns those that must leave for it, perhaps itself.
func (c *cache) put(k *keptExecution) (out []*keptExecution) {
	if before := c.take(k.key); before != nil {
		out = append(out, before)
	}
	c.byKey[k.key] = c.used.PushFront(k)
	k.counted = min(executionBytes+k.bytes+pendingBytes*int64(k.code.Pending()), c.maxBytes/share)
	c.bytes += k.counted
	for c.used.Len() > 0 && (c.used.Len() > c.maxExecutions || c.bytes > c.maxBytes) {
		out = append(out, c.remove(c.used.Back()))
	}
	return out
}

// take removes and returns the execution, or nil.
func (c *cache) take(key leader.ExecutionKey) *keptExecution {
	if at := c.byKey[key]; at != nil {
		return c.remove(at)
	}
	return nil
}

// takeReign removes and returns every execution of a reign.
func (c *cache) takeReign(partition uint32, epoch uint64) []*keptExecution {
	return c.takeIf(func(key leader.ExecutionKey) bool { return key.Partition == partition && key.Epoch == epoch })
}

func (c *cache) takeAll() []*keptExecution {
	return c.takeIf(func(leader.ExecutionKey) bool { return true })
}

func (c *cache) takeIf(taken func(leader.ExecutionKey) bool) (out []*keptExecution) {
	for at := c.used.Front(); at != nil; {
		next := at.Next()
		if taken(at.Value.(*keptExecution).key) {
			out = append(out, c.remove(at))
		}
		at = next
	}
	return out
}

func (c *cache) remove(at *list.Element) *keptExecution {
	k := c.used.Remove(at).(*keptExecution)
	delete(c.byKey, k.key)
	c.bytes -= k.counted
	return k
}
