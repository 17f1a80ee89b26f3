package partition

import (
	"bytes"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Update is what is remembered of an update, by the identity of its request: as long as
// answers are, see [ForgetAnswers].
type Update struct {
	// Instance is the execution with which the instance that accepted it was started.
	Instance history.ExecutionID
	// Done is set where there is a reply.
	Done bool
	// Refused is set where the code refused it, and nothing of it was recorded.
	Refused bool
	Result  history.Payload
	Failure *history.Failure
}

// updateKey is the key of what is remembered of an update. Like an answer's it sorts by
// the time when the request was first sent.
func (a Address) updateKey(sent time.Time, request string) []byte {
	key := tableKey(a.Partition, TableUpdates, 8+len(a.path)+len(request)+2)
	key = appendTime(key, sent)
	key = append(key, a.path...)
	key = append(key, request...)
	return append(key, 0)
}

// replyKey is the key of the row that holds the reply.
func (a Address) replyKey(sent time.Time, request string) []byte {
	return append(a.updateKey(sent, request), 1)
}

// accept remembers that an update is recorded, or waits in the inbox.
func accept(s Store, a Address, r *Record, u *history.UpdateRequested) {
	setUpdate(s, a, u.Sent, u.Request, Update{Instance: r.StartedAs()})
}

func setUpdate(s Store, a Address, sent time.Time, request string, u Update) {
	p := pack.NewWriter(48, 3)
	p.String(string(u.Instance))
	p.Bool(u.Done)
	p.Bool(u.Refused)
	s.Set(a.updateKey(sent, request), p.Bytes())
}

// Reply remembers the reply to an update; instance is the execution with which the
// instance was started.
func Reply(s Store, a Address, instance history.ExecutionID, u *history.UpdateCompleted, refused bool) {
	setUpdate(s, a, u.Sent, u.Request, Update{Instance: instance, Done: true, Refused: refused})
	setRow(s, a.replyKey(u.Sent, u.Request), history.EncodeEvents([]history.Event{{ID: history.NoID, Body: u}}))
}

// ReadUpdate returns what is remembered of an update, or nil.
func ReadUpdate(r Reader, a Address, request string, sent time.Time) (*Update, error) {
	value, err := r.Get(a.updateKey(sent, request))
	if err != nil || value == nil {
		return nil, err
	}
	u, err := decodeUpdate(value)
	if err == nil && u.Done {
		var data []byte
		if data, err = readRow(r, a.replyKey(sent, request)); err == nil && data != nil {
			var c *history.UpdateCompleted
			if c, err = decodeReply(data); err == nil {
				u.Result, u.Failure = c.Result, c.Failure
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read update %q of %s: %w", request, a, err)
	}
	return u, nil
}

// forgetUpdates deletes what is remembered of updates that were first sent before a time,
// but for those that will be replied to.
func forgetUpdates(s Store, partition uint32, before time.Time) error {
	type pending struct {
		key  []byte
		of   Address
		from history.ExecutionID
	}
	var all []pending
	from, _ := TableRange(partition, TableUpdates)
	to := appendTime(tableKey(partition, TableUpdates, 8), before)
	var failed error
	err := s.Scan(from, to, func(key, value []byte) bool {
		a, rest, err := parseAddress(partition, key[tableHeader+8:])
		var kind []byte
		if err == nil {
			_, kind, err = cut(rest)
		}
		if err == nil && len(kind) == 0 {
			var u *Update
			if u, err = decodeUpdate(value); err == nil && !u.Done {
				all = append(all, pending{bytes.Clone(key), a, u.Instance})
			}
		}
		failed = err
		return err == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("forget updates: %w", err)
	}
	for _, p := range all {
		r, err := ReadRecord(s, p.of)
		if err != nil {
			return err
		}
		if r == nil || r.Status.Ended() || !r.Is(p.from) {
			continue
		}
		if err := deleteAll(s, from, p.key); err != nil {
			return err
		}
		from = append(p.key, 0)
	}
	return deleteAll(s, from, to)
}

func decodeUpdate(value []byte) (*Update, error) {
	p := pack.NewReader(value)
	u := &Update{}
	for i := 0; p.Next(); i++ {
		switch i {
		case 0:
			u.Instance = history.ExecutionID(p.String())
		case 1:
			u.Done = p.Bool()
		case 2:
			u.Refused = p.Bool()
		default:
			p.Skip() // of a newer writer
		}
	}
	return u, p.Err()
}

func decodeReply(data []byte) (*history.UpdateCompleted, error) {
	events, err := history.DecodeEvents(data)
	if err != nil {
		return nil, err
	}
	if len(events) == 1 {
		if u, ok := events[0].Body.(*history.UpdateCompleted); ok {
			return u, nil
		}
	}
	return nil, fmt.Errorf("%w: no reply to an update", pack.ErrMalformed)
}

// Refuse takes an update out of an instance's mail that its code refused, and remembers
// why. It returns the reply. [Took] follows where nothing else of the turn is recorded.
func Refuse(s Store, a Address, r *Record, m *Mail, failure *history.Failure) (*history.UpdateCompleted, error) {
	u := m.Event.Body.(*history.UpdateRequested)
	reply := &history.UpdateCompleted{Request: u.Request, Sent: u.Sent, Name: u.Name, Failure: failure}
	Reply(s, a, r.StartedAs(), reply, true)
	return reply, consume(s, a, r, m)
}

// Took writes the record of an instance whose turn took nothing but what it refused.
func Took(s Store, a Address, r *Record) {
	unpark(s, a, r)
	setReady(s, a, r)
	s.Set(a.RecordKey(), r.Encode())
}

// setReady puts the instance into the ready list, or takes it out, as its inbox says.
func setReady(s Store, a Address, r *Record) {
	if r.Ready && r.Stored == 0 {
		r.Ready = false
		s.Delete(a.readyKey())
	} else if !r.Ready && r.Stored > 0 {
		r.Ready = true
		s.Set(a.readyKey(), readyValue)
	}
}

func describeUpdate(a Address, rest []byte, key, value []byte) (string, error) {
	sent := timeOfKey(key[tableHeader : tableHeader+8])
	request, kind, err := cut(rest)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("updates %s %s %s", clock(sent), a, request)
	switch {
	case len(kind) > 0:
		return describeReplyRow(text, kind, value)
	case value == nil:
		return text, nil
	}
	u, err := decodeUpdate(value)
	if err != nil {
		return "", err
	}
	switch {
	case u.Refused:
		text += " refused"
	case u.Done:
		text += " done"
	default:
		text += " accepted"
	}
	return text + " instance=" + string(u.Instance), nil
}

func describeReplyRow(text string, piece, value []byte) (string, error) {
	text += " reply"
	if len(piece) != 3 || piece[1] != 0 || piece[2] != 0 {
		return text + fmt.Sprintf(" piece %x", piece[1:]), nil
	}
	if len(value) < rowHeader {
		return text, nil
	}
	u, err := decodeReply(value[rowHeader:])
	if err != nil {
		return fmt.Sprintf("%s, %d bytes", text, len(value)), nil // one of several pieces
	}
	return text + "\n    " + history.Describe(history.Event{ID: history.NoID, Body: u}), nil
}
