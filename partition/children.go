package partition

import (
	"errors"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Child is a sub-orchestration whose end an execution awaits.
type Child struct {
	Instance  history.InstanceID
	Execution history.ExecutionID
	Name      string
}

// Encode returns the stored form.
func (c Child) Encode() []byte {
	p := pack.NewWriter(64+len(c.Instance)+len(c.Name), 3)
	p.String(string(c.Instance))
	p.String(string(c.Execution))
	p.String(c.Name)
	return p.Bytes()
}

func decodeChild(value []byte) (Child, error) {
	u := pack.NewReader(value)
	var c Child
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			c.Instance = history.InstanceID(u.String())
		case 1:
			c.Execution = history.ExecutionID(u.String())
		case 2:
			c.Name = u.String()
		default:
			u.Skip() // of a newer writer
		}
	}
	if u.Err() != nil {
		return c, fmt.Errorf("decode child: %w", u.Err())
	}
	return c, nil
}

// ReadChild returns the child that an instance's decision started, if its end is
// still awaited; otherwise nil.
func ReadChild(r Reader, a Address, taskID int32) (*Child, error) {
	value, err := r.Get(a.childKey(taskID))
	if err != nil || value == nil {
		return nil, err
	}
	c, err := decodeChild(value)
	return &c, err
}

// ReadChildren calls fn with the awaited children of an instance in the order of
// their decisions until it returns false.
func ReadChildren(r Reader, a Address, fn func(taskID int32, c Child) bool) error {
	return readNumbered(r, a, TableChildren, decodeChild, fn)
}

// validateChild reports why a child cannot be started. Its name and version stand in
// keys while it waits for code.
func validateChild(b *history.SubOrchestrationInstanceCreated) error {
	if err := history.ValidateOrchestrationID(b.Instance); err != nil {
		return err
	}
	if b.Name == "" {
		return errors.New("a sub-orchestration without a name")
	}
	for _, text := range []string{b.Name, b.Version} {
		if err := history.ValidateName(text); err != nil {
			return fmt.Errorf("sub-orchestration: %w", err)
		}
	}
	if err := history.ValidateTags(b.Tags); err != nil {
		return fmt.Errorf("sub-orchestration %q: %w", b.Name, err)
	}
	return nil
}

// begin decides the start of a child.
func begin(s Store, a Address, r *Record, taskID int32, b *history.SubOrchestrationInstanceCreated, fx *Effects) {
	child := Child{b.Instance, history.ChildExecution(r.Execution, taskID), b.Name}
	started := &history.ExecutionStarted{
		Name: b.Name, Version: b.Version, Input: b.Input, ExecutionID: child.Execution,
		Trace: b.Trace, Tags: b.Tags,
	}
	if b.Timeout > 0 {
		started.Deadline = r.Updated.Add(b.Timeout)
	}
	if !b.Detached {
		started.Parent = &history.ParentInstance{Name: r.Name, Instance: a.ID, Execution: r.Execution, TaskID: taskID, Depth: r.depth() + 1}
		s.Set(a.childKey(taskID), child.Encode())
		r.Children++
		if started.Parent.Depth > history.MaxDepth {
			fx.Sent = append(fx.Sent, tooDeep(a, r, child, taskID))
			return
		}
	}
	fx.Sent = append(fx.Sent, a.letter(r, child.Instance, child.Execution, started))
}

// depth returns how many orchestrations wait above the instance.
func (r *Record) depth() int32 {
	if r.Parent == nil {
		return 0
	}
	return r.Parent.Depth
}

// tooDeep is the answer that an instance gives itself in place of a child that would
// be below the deepest.
func tooDeep(a Address, r *Record, child Child, taskID int32) Letter {
	l := a.letter(r, a.ID, r.Execution, &history.SubOrchestrationInstanceFailed{TaskID: taskID, Failure: &history.Failure{
		Type: history.FailureTooDeep, NonRetriable: true,
		Message: fmt.Sprintf("sub-orchestration %q was not started: %d orchestrations wait above it, at most %d may", child.Name, r.depth()+1, history.MaxDepth),
	}})
	l.FromExecution = child.Execution
	return l
}

// removeChild deletes an awaited child's row, if it is there.
func removeChild(s Store, a Address, r *Record, taskID int32) error {
	key := a.childKey(taskID)
	value, err := s.Get(key)
	if err == nil && value != nil {
		s.Delete(key)
		r.Children--
	}
	return err
}

// cancelChild ends an awaited child, and all that it awaits in turn. Its outcome is
// dropped if that waits to be taken.
func cancelChild(s Store, a Address, r *Record, taskID int32, rest []*Mail, fx *Effects) error {
	child, err := ReadChild(s, a, taskID)
	if err != nil {
		return err
	}
	if child != nil {
		fx.Sent = append(fx.Sent, a.letter(r, child.Instance, child.Execution, &history.ExecutionTerminated{Recurse: true}))
		if err := removeChild(s, a, r, taskID); err != nil {
			return err
		}
	}
	return drop(s, a, r, rest, fx, func(body history.Body) bool {
		switch outcome := body.(type) {
		case *history.SubOrchestrationInstanceCompleted:
			return outcome.TaskID == taskID
		case *history.SubOrchestrationInstanceFailed:
			return outcome.TaskID == taskID
		}
		return false
	})
}

// askChild asks an awaited child to end. Its end is awaited as before.
func askChild(s Store, a Address, r *Record, b *history.SubOrchestrationInstanceCanceled, fx *Effects) error {
	child, err := ReadChild(s, a, b.TaskID)
	if err != nil || child == nil {
		return err
	}
	fx.Sent = append(fx.Sent, a.letter(r, child.Instance, child.Execution, &history.ExecutionCancelRequested{Reason: b.Reason}))
	return nil
}

// leaveChildren deletes the rows of all awaited children; terminate ends them.
func leaveChildren(s Store, a Address, r *Record, terminate *history.ExecutionTerminated, fx *Effects) error {
	if r.Children == 0 {
		return nil
	}
	if terminate != nil {
		terminate = passedOn(terminate, r.Children)
		err := ReadChildren(s, a, func(_ int32, c Child) bool {
			fx.Sent = append(fx.Sent, a.letter(r, c.Instance, c.Execution, terminate))
			return true
		})
		if err != nil {
			return err
		}
	}
	r.Children = 0
	from := a.key(TableChildren, 0)
	return deleteAll(s, from, after(from))
}

// passedOn is the termination that so many children are told of. It has the reason, unless
// that would be more than an entry of the log should have.
func passedOn(t *history.ExecutionTerminated, children int64) *history.ExecutionTerminated {
	if int64(Inline(len(t.Reason)))*children <= reasonBytes {
		return t
	}
	brief := *t
	brief.Reason = nil
	return &brief
}

// reasonBytes bounds what the reasons that go to the children of one orchestration take in
// the entry that ends it.
const reasonBytes = 8 << 20

// tellParent tells the parent how the execution ended.
func tellParent(a Address, r *Record, end *history.ExecutionCompleted, fx *Effects) {
	p := r.Parent
	if p == nil {
		return
	}
	var body history.Body
	switch end.Status {
	case history.Completed:
		body = &history.SubOrchestrationInstanceCompleted{TaskID: p.TaskID, Result: end.Result}
	case history.Failed:
		body = &history.SubOrchestrationInstanceFailed{TaskID: p.TaskID, Failure: end.Failure}
	case history.Canceled:
		body = &history.SubOrchestrationInstanceFailed{TaskID: p.TaskID, Failure: canceledChild(a, end.Failure)}
	default:
		body = &history.SubOrchestrationInstanceFailed{TaskID: p.TaskID, Failure: &history.Failure{
			Type: history.FailureTerminated, Message: terminatedText(a, end.Result),
		}}
	}
	l := a.letter(r, p.Instance, p.Execution, body)
	l.FromExecution = r.StartedAs()
	fx.Sent = append(fx.Sent, l)
}

// canceledChild is what a parent is told of a child that ended by its cancellation.
func canceledChild(a Address, why *history.Failure) *history.Failure {
	f := &history.Failure{Type: history.FailureCanceled, Message: fmt.Sprintf("orchestration %q was canceled", a.ID)}
	if why != nil {
		f.Message = fmt.Sprintf("orchestration %q: %s", a.ID, why.Message)
		f.Inner = []*history.Failure{why}
	}
	return f
}

func terminatedText(a Address, reason history.Payload) string {
	const shown = 256
	text := fmt.Sprintf("orchestration %q was terminated", a.ID)
	switch {
	case len(reason) == 0:
	case len(reason) > shown:
		text += fmt.Sprintf(": %s… (%d bytes)", reason[:shown], len(reason))
	default:
		text += ": " + string(reason)
	}
	return text
}

// Refusal is the answer to a parent whose child could not be started because its
// ID is in use; nil where there is no parent.
func Refusal(a Address, started *history.ExecutionStarted) *Letter {
	p := started.Parent
	if p == nil {
		return nil
	}
	return &Letter{
		Hub: a.Hub, From: a.ID, FromExecution: started.ExecutionID, To: p.Instance, ToExecution: p.Execution,
		Event: history.Event{ID: history.NoID, Body: &history.SubOrchestrationInstanceFailed{TaskID: p.TaskID, Failure: &history.Failure{
			Type: history.FailureExists, Message: fmt.Sprintf("orchestration %q was not started: a live instance has that ID", a.ID),
		}}},
	}
}
