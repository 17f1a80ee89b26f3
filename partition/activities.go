package partition

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Activity is a pending activity.
type Activity struct {
	Execution history.ExecutionID
	Name      string
	Version   string
	// Episode is the row of history that holds the TaskScheduled event.
	Episode int64
	// Attempt is the number of the attempt that runs or is to run, from 1.
	Attempt int
	// First is when the first attempt could begin.
	First time.Time
	// NextAttempt is when the attempt may begin; zero: at once. There is a timer
	// of kind [RetryTimer] for it, until the attempt's result is recorded.
	NextAttempt time.Time
	// LastFailure tells a person how the attempt before failed.
	LastFailure string
	Retry       *history.RetryPolicy // nil: one attempt
	// FailedEpoch and FailedN are the fence of the newest attempt whose failure is
	// counted: only attempts above it are of the present number.
	FailedEpoch uint64
	FailedN     uint64
	// Options are those of the TaskScheduled event; nil: none.
	Options *history.TaskOptions
	// Outside is the attempt that is completed by somebody outside; zero: none. It is
	// given out no more.
	Outside AttemptFence
	// Deadline is when the outside attempt times out; zero: never. There is a timer of
	// kind [OutsideTimer] for it. Closes is the part of it that no heartbeat moves.
	Deadline time.Time
	Closes   time.Time
	// Noted is the attempt that may have begun, of an activity that is attempted at
	// most once; zero: none has.
	Noted AttemptFence
	// StartBy is when an attempt that no node has begun fails; CloseBy when the
	// activity does. Zero: never. There are timers for them.
	StartBy time.Time
	CloseBy time.Time
	// Progress is set where an attempt has saved progress, in a row of its own.
	Progress bool
	// MayHaveActed is set where an attempt before the present one may have had its
	// effect: it was lost, or it is not known how it ended.
	MayHaveActed bool
}

// AttemptFence tells one attempt of an activity from the others.
type AttemptFence struct{ Epoch, N uint64 }

// plain reports whether the record has none of the fields after FailedN.
func (a *Activity) plain() bool {
	return a.Options == nil && a.Outside == AttemptFence{} && a.Noted == AttemptFence{} && !a.Progress && !a.MayHaveActed
}

// Encode returns the stored form.
func (a *Activity) Encode() []byte {
	fields := 21
	switch {
	case a.MayHaveActed:
		fields = 22
	case a.plain():
		fields = 11
	}
	p := pack.NewWriter(96+len(a.Name)+len(a.LastFailure), fields)
	p.String(string(a.Execution))
	p.String(a.Name)
	p.String(a.Version)
	p.Int(a.Episode)
	p.Int(int64(a.Attempt))
	p.Time(a.First)
	p.Time(a.NextAttempt)
	p.String(a.LastFailure)
	putRetryPolicy(p, a.Retry)
	p.Int(int64(a.FailedEpoch))
	p.Int(int64(a.FailedN))
	if fields == 11 {
		return p.Bytes()
	}
	if a.Options == nil {
		p.Nil()
	} else {
		a.Options.Write(p)
	}
	p.Int(int64(a.Outside.Epoch))
	p.Int(int64(a.Outside.N))
	p.Time(a.Deadline)
	p.Time(a.Closes)
	p.Int(int64(a.Noted.Epoch))
	p.Int(int64(a.Noted.N))
	p.Time(a.StartBy)
	p.Time(a.CloseBy)
	p.Bool(a.Progress)
	if fields > 21 {
		p.Bool(a.MayHaveActed)
	}
	return p.Bytes()
}

// DemandBytes returns how many bytes of a pending activity's row are as many as the
// orchestrator likes: what the activity is called, and how it is to be attempted.
func DemandBytes(b *history.TaskScheduled) int {
	const each = 3 // what stands before a text
	n := len(b.Name) + len(b.Version)
	if b.Retry != nil {
		for _, code := range b.Retry.NonRetryable {
			n += len(code) + each
		}
	}
	if b.Options != nil {
		n += len(b.Options.FairnessKey)
		for k, v := range b.Options.Nodes {
			n += len(k) + len(v) + 2*each
		}
	}
	return n
}

func putRetryPolicy(p *pack.Writer, r *history.RetryPolicy) {
	if r == nil {
		p.Nil()
		return
	}
	p.Array(6)
	p.Int(int64(r.MaxAttempts))
	p.Int(int64(r.First))
	p.Float(r.Backoff)
	p.Int(int64(r.MaxInterval))
	p.Int(int64(r.Total))
	p.Array(len(r.NonRetryable))
	for _, code := range r.NonRetryable {
		p.String(code)
	}
}

// DecodeActivity reads the stored form.
func DecodeActivity(value []byte) (*Activity, error) {
	u := pack.NewReader(value)
	a := &Activity{}
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			a.Execution = history.ExecutionID(u.String())
		case 1:
			a.Name = u.String()
		case 2:
			a.Version = u.String()
		case 3:
			a.Episode = u.Int()
		case 4:
			a.Attempt = int(u.Int())
		case 5:
			a.First = u.Time()
		case 6:
			a.NextAttempt = u.Time()
		case 7:
			a.LastFailure = u.String()
		case 8:
			a.Retry = getRetryPolicy(u)
		case 9:
			a.FailedEpoch = uint64(u.Int())
		case 10:
			a.FailedN = uint64(u.Int())
		case 11:
			if !u.IsNil() {
				a.Options = history.ReadTaskOptions(u)
			}
		case 12:
			a.Outside.Epoch = uint64(u.Int())
		case 13:
			a.Outside.N = uint64(u.Int())
		case 14:
			a.Deadline = u.Time()
		case 15:
			a.Closes = u.Time()
		case 16:
			a.Noted.Epoch = uint64(u.Int())
		case 17:
			a.Noted.N = uint64(u.Int())
		case 18:
			a.StartBy = u.Time()
		case 19:
			a.CloseBy = u.Time()
		case 20:
			a.Progress = u.Bool()
		case 21:
			a.MayHaveActed = u.Bool()
		default:
			u.Skip() // of a newer writer
		}
	}
	if u.Err() != nil {
		return nil, fmt.Errorf("decode pending activity: %w", u.Err())
	}
	return a, nil
}

// pendingOf reads what belongs to a pending activity besides its row, and no more of it.
func pendingOf(value []byte) (*Activity, error) {
	u := pack.NewReader(value)
	a := &Activity{}
	for i := 0; u.Next(); i++ {
		switch i {
		case 6:
			a.NextAttempt = u.Time()
		case 11:
			if !u.IsNil() {
				a.Options = history.ReadTaskOptions(u)
			}
		case 14:
			a.Deadline = u.Time()
		case 18:
			a.StartBy = u.Time()
		case 19:
			a.CloseBy = u.Time()
		case 20:
			a.Progress = u.Bool()
		default:
			u.Skip()
		}
	}
	return a, u.Err()
}

func getRetryPolicy(u *pack.Reader) *history.RetryPolicy {
	if u.IsNil() {
		return nil
	}
	if u.Array() != 6 {
		u.Fail("odd shape")
	}
	r := &history.RetryPolicy{
		MaxAttempts: int(u.Int()),
		First:       time.Duration(u.Int()),
		Backoff:     u.Float(),
		MaxInterval: time.Duration(u.Int()),
		Total:       time.Duration(u.Int()),
	}
	for n := u.Array(); n > 0 && u.Err() == nil; n-- {
		r.NonRetryable = append(r.NonRetryable, u.String())
	}
	return r
}
