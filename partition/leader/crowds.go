package leader

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// What orchestrations and entities send arrives, so it has to be held back where it
// comes from. An entity with [Limits.Flood] operations that wait, or [Limits.FloodBytes]
// of them, is crowded, until half of them are gone; its partition says so with the answers
// to letters, and to those who ask. A lane with [Limits.Letters] on their way is crowded likewise. What is known
// of crowds is a hint: it is kept in memory only, and what is sent before it comes is
// taken all the same.
//
// An orchestration that would signal a crowded entity, or send anything by a crowded
// lane, is parked until there is room; nothing of its episode is recorded. Two kinds of
// senders cannot wait for an entity, because that entity may wait for them. An operation
// of an entity fails instead (its code is told, see [EntityRequest.Crowded]). A holder
// of a critical section goes on, and fails where there is twice as much as there should
// be. All may wait for a lane: a lane waits for nobody.

// crowd is an entity that has no room.
type crowd struct {
	waiting backlog // when this was heard
	// from is where the instances begin in the list of the parked that are tried first
	// when there is room: those before them were tried last. Nil: at the first.
	from []byte
}

// Crowd says that an entity has no room, how many operations wait for it, and how many
// bytes of payload they have.
type Crowd struct {
	Entity  InstanceRef
	Waiting int64
	Bytes   int64 `msgpack:",omitempty"`
}

// askAfter is how often it is looked whether crowded entities have room again.
const askAfter = 250 * time.Millisecond

// askedAtOnce bounds the entities of one question.
const askedAtOnce = 1000

// flooded reports whether an entity with such a backlog takes nothing that can be
// refused or held back.
func (c *core) flooded(b backlog) bool {
	return b.operations >= int64(c.cfg.Limits.Flood) || b.bytes >= int64(c.cfg.Limits.FloodBytes)
}

// eased reports whether a crowded entity has room again.
func (c *core) eased(b backlog) bool {
	return b.operations <= int64(c.cfg.Limits.Flood)/2 && b.bytes <= int64(c.cfg.Limits.FloodBytes)/2
}

// noteCrowd notes a crowded entity. It stays noted until somebody looks whether there is
// room.
func (c *core) noteCrowd(ref InstanceRef, waiting backlog) {
	known := c.crowds[ref]
	if known == nil {
		known = &crowd{}
		c.crowds[ref] = known
		if len(c.crowds) == 1 {
			c.asksAt = c.mono + askAfter
		}
		c.log.Warn("an entity has no room for more operations, and who signals it has to wait", "taskhub", string(ref.Hub), "entity", string(ref.ID), "waiting", waiting.operations, "bytes", waiting.bytes)
	}
	known.waiting = waiting
}

// noteOwn notes an entity of this partition that has become crowded.
func (c *core) noteOwn(l *live) {
	if b := backlogOf(l); c.flooded(b) {
		c.noteCrowd(l.ref, b)
	}
}

// freed notes that an entity of this partition has run operations, and may have room.
func (c *core) freed(l *live) {
	if c.crowds[l.ref] != nil && c.eased(backlogOf(l)) {
		c.heardOfRoom([]InstanceRef{l.ref}, nil)
	}
}

// addCrowd adds an entity of this partition to others, if it is crowded.
func (c *core) addCrowd(all []Crowd, ref InstanceRef) []Crowd {
	known := c.crowds[ref]
	if known == nil || slices.ContainsFunc(all, func(other Crowd) bool { return other.Entity == ref }) {
		return all
	}
	return append(all, Crowd{ref, known.waiting.operations, known.waiting.bytes})
}

// crowdsAmong returns which of these entities of this partition have no room.
func (c *core) crowdsAmong(refs []InstanceRef) ([]Crowd, error) {
	var all []Crowd
	for _, ref := range refs {
		if !ref.ID.IsEntity() {
			continue
		}
		l, err := c.load(ref)
		if err != nil {
			return nil, err
		}
		if b := backlogOf(l); !c.eased(b) {
			all = append(all, Crowd{ref, b.operations, b.bytes})
		}
	}
	return all, nil
}

// crowdedOf returns the crowded entities of a task hub that its entities must not
// signal, sorted.
func (c *core) crowdedOf(hub history.TaskHub) (ids []history.InstanceID) {
	for ref := range c.crowds {
		if ref.Hub == hub {
			ids = append(ids, ref.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// outstanding returns how many letters of a lane were sent and did not arrive yet.
func (c *core) outstanding(lane *outLane) int64 {
	if lane.to == c.cfg.Partition {
		return int64(lane.next - 1 - c.local.taken)
	}
	return int64(lane.next - 1 - lane.acked)
}

// outstandingStarts returns how many of these letters start detached orchestrations.
func (c *core) outstandingStarts(lane *outLane) int {
	arrived := lane.acked
	if lane.to == c.cfg.Partition {
		arrived = c.local.taken
	}
	for len(lane.starts) > 0 && lane.starts[0] <= arrived {
		lane.starts = lane.starts[1:]
	}
	return len(lane.starts)
}

// jam is what a lane has no room for at present.
type jam struct {
	is   bool
	from []byte // as in [crowd]
}

// crowdedError says what has no room for what an episode, or a run of operations, sends.
type crowdedError struct {
	name   string // of the entity or the lane, among the parked
	reason string
}

func (e *crowdedError) Error() string { return e.reason }

// crowdName is the name by which instances are parked that wait for an entity.
func crowdName(ref InstanceRef) string { return string(ref.Hub) + "/" + string(ref.ID) }

func laneName(to uint32) string { return fmt.Sprintf("partition %d", to) }

// startsName is that of those who wait to start detached orchestrations there.
func startsName(to uint32) string { return fmt.Sprintf("starts in partition %d", to) }

// errTooCrowded says that a holder of a critical section floods an entity.
var errTooCrowded = errors.New("an entity is signaled, by who holds others, that has no room")

// room reports why decisions of an instance cannot be recorded now: a *[crowdedError],
// or [errTooCrowded].
func (c *core) room(l *live, decided []history.Event) error {
	for _, e := range decided {
		var to history.InstanceID
		detached := false
		switch body := e.Body.(type) {
		case *history.EntityOperationSignaled:
			to = body.Target
			ref := InstanceRef{l.ref.Hub, to}
			known := c.crowds[ref]
			switch {
			case known == nil || l.entity != nil: // an operation was told
			case l.rec.Sections == 0:
				return &crowdedError{crowdName(ref), fmt.Sprintf("it signals entity %s, which has no room for more operations at present", to)}
			case known.waiting.operations >= 2*int64(c.cfg.Limits.Flood) || known.waiting.bytes >= 2*int64(c.cfg.Limits.FloodBytes):
				return fmt.Errorf("%w: %s has %s that wait", errTooCrowded, to, known.waiting)
			}
		case *history.EventSent:
			to = body.Instance
		case *history.SubOrchestrationInstanceCreated:
			to, detached = body.Instance, body.Detached
		case *history.EntityOperationCalled:
			to = body.Target
		default:
			continue
		}
		partitionOf := c.cfg.Partition
		if c.cfg.PartitionOf != nil {
			partitionOf = c.cfg.PartitionOf(history.SlotOf(l.ref.Hub, to))
		}
		switch lane := c.outLane(partitionOf); {
		case c.outstanding(lane) >= int64(c.cfg.Limits.Letters):
			lane.full.is = true
			return &crowdedError{laneName(partitionOf), fmt.Sprintf("it sends to partition %d, which has not taken what was sent before", partitionOf)}
		case detached && c.outstandingStarts(lane) >= c.cfg.Limits.Starts:
			lane.fullOfStarts.is = true
			return &crowdedError{startsName(partitionOf), fmt.Sprintf("it starts orchestrations in partition %d, which has not taken those that were started before", partitionOf)}
		}
	}
	return nil
}

// flooding is what is recorded in place of an episode that floods an entity.
func flooding(err error) history.Episode {
	return endByServer(&history.ExecutionCompleted{
		Status:  history.Failed,
		Failure: &history.Failure{Type: history.FailureFlooded, NonRetriable: true, Message: err.Error()},
	})
}

// tendCrowds looks whether there is room again, and lets those try who wait for it.
func (c *core) tendCrowds() error {
	for _, lane := range c.outLanes {
		if lane.full.is && c.outstanding(lane) <= int64(c.cfg.Limits.Letters)/2 {
			c.tryJammed(laneName(lane.to), &lane.full)
		}
		if lane.fullOfStarts.is && c.outstandingStarts(lane) <= c.cfg.Limits.Starts/2 {
			c.tryJammed(startsName(lane.to), &lane.fullOfStarts)
		}
	}
	if len(c.crowds) == 0 || c.mono < c.asksAt {
		return nil
	}
	c.asksAt = c.mono + askAfter
	refs := slices.SortedFunc(maps.Keys(c.crowds), func(a, b InstanceRef) int {
		return cmp.Or(cmp.Compare(a.Hub, b.Hub), cmp.Compare(a.ID, b.ID))
	})
	byPartition := make(map[uint32][]InstanceRef)
	for _, ref := range refs {
		to := c.cfg.Partition
		if c.cfg.PartitionOf != nil {
			to = c.cfg.PartitionOf(history.SlotOf(ref.Hub, ref.ID))
		}
		if len(byPartition[to]) < askedAtOnce { // the others are asked for when these have room
			byPartition[to] = append(byPartition[to], ref)
		}
	}
	if own := byPartition[c.cfg.Partition]; own != nil {
		still, err := c.crowdsAmong(own)
		if err != nil {
			return err
		}
		c.heardOfRoom(own, still)
	}
	for _, lane := range c.outLanes {
		asked := byPartition[lane.to]
		if lane.to == c.cfg.Partition || lane.asking || asked == nil {
			continue
		}
		lane.asking = true
		c.cfg.Courier.Carry(LaneRun{From: c.cfg.Partition, To: lane.to, Cut: c.cut, Asked: asked}, func(answer LaneAnswer, err error) {
			_ = c.mailbox.push(&crowdEcho{lane, asked, answer, err}, internal) // or the reign has ended
		})
	}
	return nil
}

// crowdEcho is a message: which entities of another partition have no room still.
type crowdEcho struct {
	lane   *outLane
	asked  []InstanceRef
	answer LaneAnswer
	err    error
}

func (m *crowdEcho) fail() {}

func (m *crowdEcho) handle(c *core) error {
	m.lane.asking = false
	if m.err == nil {
		c.heardOfRoom(m.asked, m.answer.Crowded)
	}
	return nil
}

// heardOfRoom notes which of the entities that were asked for have no room still.
func (c *core) heardOfRoom(asked []InstanceRef, still []Crowd) {
	without := make(map[InstanceRef]bool, len(still))
	for _, s := range still {
		without[s.Entity] = true
		c.noteCrowd(s.Entity, backlog{s.Waiting, s.Bytes})
	}
	for _, ref := range asked {
		if known := c.crowds[ref]; known != nil && !without[ref] {
			delete(c.crowds, ref)
			c.tryCrowded(crowdName(ref), retrial{room: &ref}, known.from)
		}
	}
}

// tryJammed plans to try instances that are parked for lack of room in a lane.
func (c *core) tryJammed(name string, j *jam) {
	from := j.from
	*j = jam{}
	c.tryCrowded(name, retrial{jam: j}, from)
}

// tryCrowded plans to try instances that are parked for lack of room, those behind from
// first, for the reason that t tells.
func (c *core) tryCrowded(name string, t retrial, from []byte) {
	first, last := partition.ParkedNameRange(c.cfg.Partition, partition.Parked{Why: partition.Crowded, Name: name})
	if from == nil {
		from = first
	}
	behind, before := t, t
	behind.from, behind.to = from, last
	c.retrials = append(c.retrials, behind)
	if !bytes.Equal(first, from) {
		before.from, before.to = first, from
		c.retrials = append(c.retrials, before)
	}
}

// noRoom reports whether a retrial is in vain, because its entity or lane is crowded
// again; the next one begins where it stopped.
func (c *core) noRoom(t *retrial) bool {
	if t.jam != nil && t.jam.is && t.jam.from == nil {
		t.jam.from = t.from
	}
	if t.jam != nil {
		return t.jam.is
	}
	if t.room == nil {
		return false
	}
	known := c.crowds[*t.room]
	if known != nil && known.from == nil {
		known.from = t.from
	}
	return known != nil
}
