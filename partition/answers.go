package partition

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Answer is what was answered to a request that carries an identity.
type Answer struct {
	// Code numbers the outcome; the leader gives the numbers their meaning. 0 is
	// success.
	Code      uint8
	Execution history.ExecutionID
	Started   bool
}

// answerKey sorts by the time when the request was first sent, so that what is
// older than the window is one range.
func (a Address) answerKey(sent time.Time, id string) []byte {
	key := tableKey(a.Partition, TableAnswers, 8+len(a.path)+len(id))
	key = appendTime(key, sent)
	key = append(key, a.path...)
	return append(key, id...)
}

// SetAnswer remembers the answer to a request.
func SetAnswer(s Store, a Address, id string, sent time.Time, answer Answer) {
	p := pack.NewWriter(48, 3)
	p.Int(int64(answer.Code))
	p.String(string(answer.Execution))
	p.Bool(answer.Started)
	s.Set(a.answerKey(sent, id), p.Bytes())
}

// ReadAnswer returns the answer to a request, or nil where none is remembered.
func ReadAnswer(r Reader, a Address, id string, sent time.Time) (*Answer, error) {
	value, err := r.Get(a.answerKey(sent, id))
	if err != nil || value == nil {
		return nil, err
	}
	answer, err := decodeAnswer(value)
	if err != nil {
		return nil, fmt.Errorf("read answer to request %q: %w", id, err)
	}
	return answer, nil
}

func decodeAnswer(value []byte) (*Answer, error) {
	u := pack.NewReader(value)
	answer := &Answer{}
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			answer.Code = uint8(u.Int())
		case 1:
			answer.Execution = history.ExecutionID(u.String())
		case 2:
			answer.Started = u.Bool()
		default:
			u.Skip() // of a newer writer
		}
	}
	return answer, u.Err()
}

// ForgetAnswers deletes the answers, and the replies to updates, of requests first sent
// before a time. What is remembered of an update stays as long as its instance lives and
// has not replied: somebody may wait for that. The entry must also write a partition clock
// from which all other requests of that time are refused.
func ForgetAnswers(s Store, partition uint32, before time.Time) error {
	from, _ := TableRange(partition, TableAnswers)
	if err := deleteAll(s, from, appendTime(tableKey(partition, TableAnswers, 8), before)); err != nil {
		return err
	}
	return forgetUpdates(s, partition, before)
}
