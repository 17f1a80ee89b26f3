package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// Timers of a partition fire by its leader's wall clock. Nothing is lost when that
// is wrong, but timers are late, or drag all later leaders along: the clock of a
// partition never runs backward. So nodes compare their clocks, and one whose
// clock is wrong leaves the partitions to others.
const (
	methodClock = peer.Method("cluster/clock")
	// clockPause is how often nodes compare their clocks.
	clockPause = 5 * time.Second
	// maxClockError is how far a clock may be from the median of all.
	maxClockError = time.Second
	// maxClockTrip is how long an answer may take. A slower one says too little.
	maxClockTrip = 300 * time.Millisecond
	// clockMemory is how long a reading counts.
	clockMemory = 3 * clockPause
	// clockHandOverPause is how long a group stays where it is after it was given
	// away for the sake of a clock.
	clockHandOverPause = 10 * time.Second
)

// clocks compares the wall clocks of the nodes.
type clocks struct {
	node  *Node
	given map[uint32]time.Time // of run: when a group was given away

	mu       sync.Mutex // guards the fields below
	readings map[peer.NodeID]clockReading
	own      clockState
	wrong    map[peer.NodeID]bool // nodes whose clock is known to be wrong
}

// clockReading says how far a node's clock was ahead of this node's.
type clockReading struct {
	ahead time.Duration
	at    time.Time
}

// clockState is what a node knows of its own clock.
type clockState struct {
	// Ahead is how far it is ahead of the median; 0 while that is not known.
	Ahead time.Duration
	// Wrong is set where that is more than maxClockError.
	Wrong bool
}

func newClocks(n *Node) *clocks {
	return &clocks{node: n, given: make(map[uint32]time.Time), readings: make(map[peer.NodeID]clockReading)}
}

// run compares clocks until ctx is done.
func (c *clocks) run(ctx context.Context) {
	ticker := time.NewTicker(clockPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if l := c.node.currentLayout(); l != nil && len(l.Nodes) >= 3 {
			c.read(ctx, l)
			if c.judge(l) {
				c.giveAway(ctx)
			}
		}
	}
}

// read asks the other nodes for their clocks.
func (c *clocks) read(ctx context.Context, l *layout) {
	var wg sync.WaitGroup
	for _, other := range l.names() {
		if m, alive := c.node.member(other); !alive || m.Cluster != l.Cluster || other == c.node.self {
			continue
		}
		wg.Go(func() { c.readOne(ctx, other) })
	}
	wg.Wait()
}

func (c *clocks) readOne(ctx context.Context, other peer.NodeID) {
	ctx, cancel := context.WithTimeout(ctx, maxClockTrip)
	defer cancel()
	sent, own := time.Now(), c.node.cfg.Clock()
	answer, err := c.node.rpc.call(ctx, other, methodClock, nil)
	trip := time.Since(sent)
	if err != nil || trip > maxClockTrip || len(answer) != 8 {
		return // the next round will do
	}
	theirs := time.Unix(0, int64(binary.BigEndian.Uint64(answer)))
	c.mu.Lock()
	c.readings[other] = clockReading{theirs.Sub(own.Add(trip / 2)), time.Now()}
	c.mu.Unlock()
}

func (n *Node) handleClock(context.Context, peer.NodeID, []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, uint64(n.cfg.Clock().UnixNano())), nil
}

// judge finds out whose clocks are wrong, and reports whether this node's is.
func (c *clocks) judge(l *layout) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead := []time.Duration{0} // this node
	for name, r := range c.readings {
		if _, there := l.node(name); !there || time.Since(r.at) > clockMemory {
			delete(c.readings, name)
			continue
		}
		ahead = append(ahead, r.ahead)
	}
	median, agreed := agreedClock(ahead, len(l.Nodes))
	before := c.own
	c.own, c.wrong = clockState{}, make(map[peer.NodeID]bool)
	if agreed {
		c.own = clockState{Ahead: -median, Wrong: median.Abs() > maxClockError}
		for name, r := range c.readings {
			c.wrong[name] = (r.ahead - median).Abs() > maxClockError
		}
	}
	switch {
	case c.own.Wrong && !before.Wrong:
		c.node.log.Warn("the clock of this node is wrong: it differs from those of the others; this node gives the leadership of its partitions away. Repair its clock", "ahead", c.own.Ahead)
	case before.Wrong && !c.own.Wrong && agreed:
		c.node.log.Info("the clock of this node is right again", "ahead", c.own.Ahead)
	}
	return c.own.Wrong
}

// agreedClock returns the median of clocks if it says anything: if three are
// known, and most of all nodes are close to it. Where there is no such majority
// nobody can tell who is right.
func agreedClock(ahead []time.Duration, nodes int) (median time.Duration, agreed bool) {
	if len(ahead) < 3 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(ahead))
	median = sorted[len(sorted)/2]
	near := 0
	for _, a := range sorted {
		if (a - median).Abs() <= maxClockError {
			near++
		}
	}
	return median, near > max(nodes, len(sorted))/2
}

// giveAway hands the partitions that this node leads to voters whose clock is
// right, each at most once in clockHandOverPause.
func (c *clocks) giveAway(ctx context.Context) {
	n := c.node
	ctx, cancel := context.WithTimeout(ctx, clockPause)
	defer cancel()
	var wg sync.WaitGroup
	for g, group := range n.ledPartitions() {
		if at, ok := c.given[g]; ok && time.Since(at) < clockHandOverPause {
			continue
		}
		to := c.successor(group)
		if to == "" {
			continue
		}
		c.given[g] = time.Now()
		wg.Go(func() {
			if err := group.TransferLeadership(ctx, to); err != nil {
				n.log.Warn("this node's clock is wrong, and it could not give leadership away", "group", g, "to", to.Node(), "error", fmt.Errorf("hand leadership to %s: %w", to, err))
				return
			}
			n.log.Info("gave leadership away because of a wrong clock", "group", g, "to", to.Node())
		})
	}
	wg.Wait()
}

// successor returns a voter that can take over and has the right time; "" if there
// is none.
func (c *clocks) successor(group *raftlog.Group) raftlog.ServerID {
	for _, s := range group.Configuration() {
		m, alive := c.node.member(s.ID.Node())
		if s.Voter && alive && !m.Leaving && c.right(m.Name) && group.CaughtUp(s.ID) {
			return s.ID
		}
	}
	return ""
}

// right reports whether another node's clock is known to be right.
func (c *clocks) right(name peer.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	wrong, known := c.wrong[name]
	return known && !wrong
}

// isWrong reports whether another node's clock is known to be wrong.
func (c *clocks) isWrong(name peer.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong[name]
}

// state returns what this node knows of its own clock.
func (c *clocks) state() clockState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own
}
