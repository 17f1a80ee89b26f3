package raftlog

import "github.com/hashicorp/raft"

// logCache keeps the newest entries of a log in memory, without a gap, bounded by
// bytes. Followers and apply read from it, and hardly ever from the store.
type logCache struct {
	entries []*raft.Log // indexes are consecutive
	sizes   []int64
	bytes   int64
}

func (c *logCache) get(index uint64) *raft.Log {
	if len(c.entries) == 0 || index < c.entries[0].Index {
		return nil
	}
	i := index - c.entries[0].Index
	if i >= uint64(len(c.entries)) {
		return nil
	}
	return c.entries[i]
}

// add appends an entry and drops the oldest ones over the limit. It keeps a copy
// of the struct, because Raft's is part of a future.
func (c *logCache) add(log *raft.Log, size, limit int64) {
	if n := len(c.entries); n > 0 && c.entries[n-1].Index+1 != log.Index {
		*c = logCache{}
	}
	kept := *log
	c.entries = append(c.entries, &kept)
	c.sizes = append(c.sizes, size)
	c.bytes += size
	drop := 0
	for c.bytes > limit && drop < len(c.entries)-1 {
		c.bytes -= c.sizes[drop]
		c.entries[drop] = nil
		drop++
	}
	// append moves the rest to a new array from time to time, so the dropped
	// front does not pile up.
	c.entries, c.sizes = c.entries[drop:], c.sizes[drop:]
}

func (c *logCache) removeFrom(index uint64) {
	for n := len(c.entries); n > 0 && c.entries[n-1].Index >= index; n-- {
		c.bytes -= c.sizes[n-1]
		c.entries, c.sizes = c.entries[:n-1], c.sizes[:n-1]
	}
}

func (c *logCache) removeTo(index uint64) {
	for len(c.entries) > 0 && c.entries[0].Index <= index {
		c.bytes -= c.sizes[0]
		c.entries[0] = nil
		c.entries, c.sizes = c.entries[1:], c.sizes[1:]
	}
}

// logSizes knows about how many bytes a log has from which index on, in steps of
// some entries. It decides when to make a snapshot and how much to truncate;
// nothing hangs on its precision.
type logSizes struct {
	steps []sizeStep
	total int64
}

type sizeStep struct {
	first, last uint64
	bytes       int64
}

const entriesPerSizeStep = 64

func (s *logSizes) add(index uint64, bytes int64) {
	s.total += bytes
	if n := len(s.steps); n > 0 && s.steps[n-1].last-s.steps[n-1].first < entriesPerSizeStep-1 {
		s.steps[n-1].last = index
		s.steps[n-1].bytes += bytes
		return
	}
	s.steps = append(s.steps, sizeStep{index, index, bytes})
}

// restore spreads a size evenly over the entries of a log found on disk.
func (s *logSizes) restore(first, last uint64, bytes int64) {
	each := bytes / int64(last-first+1)
	for ; first <= last; first += entriesPerSizeStep {
		step := sizeStep{first: first, last: min(last, first+entriesPerSizeStep-1)}
		step.bytes = each * int64(step.last-step.first+1)
		s.steps = append(s.steps, step)
		s.total += step.bytes
	}
}

func (s *logSizes) removeFrom(index uint64) {
	for n := len(s.steps); n > 0 && s.steps[n-1].last >= index; n-- {
		step := &s.steps[n-1]
		if step.first < index {
			cut := step.bytes * int64(step.last-index+1) / int64(step.last-step.first+1)
			step.last = index - 1
			step.bytes -= cut
			s.total -= cut
			return
		}
		s.total -= step.bytes
		s.steps = s.steps[:n-1]
	}
}

func (s *logSizes) removeTo(index uint64) {
	for len(s.steps) > 0 && s.steps[0].last <= index {
		s.total -= s.steps[0].bytes
		s.steps = s.steps[1:]
	}
}

// after returns about how many bytes the entries above index have.
func (s *logSizes) after(index uint64) int64 {
	sum := int64(0)
	for i := len(s.steps) - 1; i >= 0 && s.steps[i].last > index; i-- {
		sum += s.steps[i].bytes
	}
	return sum
}

// keeping returns the largest index up to which entries may go so that at least
// so many bytes stay.
func (s *logSizes) keeping(bytes int64) uint64 {
	sum := int64(0)
	for i := len(s.steps) - 1; i >= 0; i-- {
		if sum >= bytes {
			return s.steps[i].last
		}
		sum += s.steps[i].bytes
	}
	return 0
}
