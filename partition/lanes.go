package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Letter is mail from one instance to another, as it stands in the outbox. Both
// are of one task hub.
type Letter struct {
	Hub           history.TaskHub
	From          history.InstanceID
	FromExecution history.ExecutionID
	To            history.InstanceID
	// ToExecution is the execution that is meant; what another one gets is dropped.
	// For an ExecutionStarted it is the new one; empty: whichever there is.
	ToExecution history.ExecutionID
	// Cut is the sender's cut number when the letter was written.
	Cut   uint64
	Event history.Event
}

// letter addresses mail of an instance's present execution.
func (a Address) letter(r *Record, to history.InstanceID, execution history.ExecutionID, body history.Body) Letter {
	return Letter{
		Hub: a.Hub, From: a.ID, FromExecution: r.Execution, To: to, ToExecution: execution,
		Event: history.Event{ID: history.NoID, Time: r.Updated, Body: body},
	}
}

// Slot returns the slot of the receiver.
func (l *Letter) Slot() history.Slot { return history.SlotOf(l.Hub, l.To) }

// Encode returns the form that is stored and sent.
func (l *Letter) Encode() []byte {
	event := history.EncodeEvents([]history.Event{l.Event})
	p := pack.NewWriter(len(event)+len(l.Hub)+len(l.From)+len(l.To)+128, 7)
	p.String(string(l.Hub))
	p.String(string(l.From))
	p.String(string(l.FromExecution))
	p.String(string(l.To))
	p.String(string(l.ToExecution))
	p.Int(int64(l.Cut))
	p.Binary(event)
	return p.Bytes()
}

// DecodeLetter reads what Encode returned.
func DecodeLetter(data []byte) (*Letter, error) {
	u := pack.NewReader(data)
	l := &Letter{}
	var event []byte
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			l.Hub = history.TaskHub(u.String())
		case 1:
			l.From = history.InstanceID(u.String())
		case 2:
			l.FromExecution = history.ExecutionID(u.String())
		case 3:
			l.To = history.InstanceID(u.String())
		case 4:
			l.ToExecution = history.ExecutionID(u.String())
		case 5:
			l.Cut = uint64(u.Int())
		case 6:
			event = u.Binary()
		default:
			u.Skip() // of a newer writer
		}
	}
	if u.Err() != nil {
		return nil, fmt.Errorf("decode letter: %w", u.Err())
	}
	events, err := history.DecodeEvents(event)
	if err != nil {
		return nil, fmt.Errorf("decode letter to %s: %w", l.To, err)
	}
	if len(events) != 1 {
		return nil, fmt.Errorf("decode letter to %s: %w: %d events", l.To, pack.ErrMalformed, len(events))
	}
	l.Event = events[0]
	return l, nil
}

// outboxKey is the key of a row of the outbox, without the number of its piece.
func outboxKey(partition, to uint32, sequence uint64) []byte {
	key := tableKey(partition, TableOutbox, 4+8+2)
	key = binary.BigEndian.AppendUint32(key, to)
	return binary.BigEndian.AppendUint64(key, sequence)
}

// Send writes a letter to the outbox, as number sequence of a lane, and returns
// how many pieces its row has. The lane's [OutLane] is written apart.
func Send(s Store, partition, to uint32, sequence uint64, l *Letter) (pieces int) {
	return setRow(s, outboxKey(partition, to, sequence), l.Encode())
}

// Taken deletes the row of mail that comes from the partition's lane to itself.
func Taken(s Store, partition uint32, m *Mail) {
	deleteRow(s, outboxKey(partition, partition, m.Sent), m.Pieces)
	m.Sent, m.Pieces = 0, 0
}

// ReadLetter returns a letter of a lane in encoded form, or nil where it is not.
func ReadLetter(r Reader, partition, to uint32, sequence uint64) ([]byte, error) {
	letter, err := readRow(r, outboxKey(partition, to, sequence))
	if err != nil {
		return nil, fmt.Errorf("read letter %d of partition %d to %d: %w", sequence, partition, to, err)
	}
	return letter, nil
}

// ReadOutbox calls fn with the letters of a lane in their order, from number from
// on, in encoded form, until it returns false.
func ReadOutbox(r Reader, partition, to uint32, from uint64, fn func(sequence uint64, letter []byte, pieces int) bool) error {
	err := scanRows(r, outboxKey(partition, to, from), after(binary.BigEndian.AppendUint32(tableKey(partition, TableOutbox, 4), to)),
		func(row, data []byte, pieces int) (bool, error) {
			return fn(binary.BigEndian.Uint64(row[len(row)-8:]), data, pieces), nil
		})
	if err != nil {
		return fmt.Errorf("read the lane of partition %d to %d: %w", partition, to, err)
	}
	return nil
}

// Trim deletes the letters of a lane behind one that was deleted before, up to a
// number that the receiver has said to have recorded.
func Trim(s Store, partition, to uint32, behind, through uint64) error {
	return deleteAll(s, outboxKey(partition, to, behind+1), outboxKey(partition, to, through+1))
}

// OutLane says how far a lane to another partition is: the number of the next
// letter, from 1. Numbers are not reused, also when all rows are gone.
type OutLane struct{ Next uint64 }

// InLane says how far a lane from another partition is: letters up to this number
// are recorded here.
type InLane struct{ Received uint64 }

// The directions of lanes, in keys.
const (
	outward = 1
	inward  = 2
)

func laneKey(partition uint32, direction byte, other uint32) []byte {
	key := append(tableKey(partition, TableLanes, 5), direction)
	return binary.BigEndian.AppendUint32(key, other)
}

func encodeLane(n uint64) []byte {
	p := pack.NewWriter(16, 1)
	p.Int(int64(n))
	return p.Bytes()
}

func decodeLane(value []byte) (n uint64, err error) {
	if value == nil {
		return 0, nil
	}
	u := pack.NewReader(value)
	if u.Next() {
		n = uint64(u.Int())
	}
	return n, u.Err()
}

// SetOutLane writes how far a lane to another partition is.
func SetOutLane(s Store, partition, to uint32, l OutLane) {
	s.Set(laneKey(partition, outward, to), encodeLane(l.Next))
}

// SetInLane writes how far a lane from another partition is. The entry must hold,
// or come after, what records the letters up to there.
func SetInLane(s Store, partition, from uint32, l InLane) {
	s.Set(laneKey(partition, inward, from), encodeLane(l.Received))
}

// ReadInLane returns how far a lane from another partition is.
func ReadInLane(r Reader, partition, from uint32) (InLane, error) {
	value, err := r.Get(laneKey(partition, inward, from))
	if err != nil {
		return InLane{}, err
	}
	n, err := decodeLane(value)
	return InLane{n}, err
}

// ReadOutLanes returns how far all lanes to other partitions are, that of the
// partition to itself among them.
func ReadOutLanes(r Reader, partition uint32) (map[uint32]OutLane, error) {
	lanes := make(map[uint32]OutLane)
	from := append(tableKey(partition, TableLanes, 1), outward)
	var failed error
	err := r.Scan(from, after(from), func(key, value []byte) bool {
		n, err := decodeLane(value)
		lanes[binary.BigEndian.Uint32(key[len(key)-4:])] = OutLane{n}
		failed = err
		return err == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("read the lanes of partition %d: %w", partition, err)
	}
	return lanes, nil
}
