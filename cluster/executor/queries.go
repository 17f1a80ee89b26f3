package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Query implements [leader.Executor]. Where the code does not answer within
// [Options.QueryLimit], the execution is given up and rebuilt when it is needed next;
// what does not return goes on beside, on variables that nobody uses any more. The
// same goes for one whose handler panicked. An execution that has ended is kept like
// others, for further queries.
func (e *Orchestrators) Query(ctx context.Context, q leader.Inquiry) (leader.QueryAnswer, error) {
	program, err := e.registry.OrchestratorOf(q.Execution.Name, q.Execution.Version)
	if err != nil {
		return leader.QueryAnswer{}, fmt.Errorf("%w: %w", leader.ErrUnbound, err)
	}
	if err := e.unanswered(q.Execution.Key); err != nil {
		return leader.QueryAnswer{}, err
	}
	t, kept, err := e.begin(ctx, q.Execution)
	if err != nil {
		return leader.QueryAnswer{}, err
	}
	if kept == nil {
		kept = e.load(t, program)
	}
	a := &asking{
		Orchestrators: e, turn: t, kept: kept, came: make(chan struct{}), lost: make(chan struct{}),
		answer: leader.QueryAnswer{Failure: &history.Failure{Type: history.FailurePanic, Message: "the handler of the query called runtime.Goexit"}},
	}
	giveUp := time.AfterFunc(e.options.QueryLimit, a.giveUp)
	// Not under ctx: a history that takes long to replay is worth keeping for the
	// caller's next try.
	go func() {
		defer giveUp.Stop()
		defer a.end()
		labelled(t.label, func() { a.answer, a.err = ask(context.WithoutCancel(ctx), kept, q) })
	}()
	select {
	case <-a.came:
		return a.answer, a.err
	case <-ctx.Done():
		return leader.QueryAnswer{}, ctx.Err()
	case <-a.lost:
		return leader.QueryAnswer{}, fmt.Errorf("%w: query %q of instance %q is not answered within %v", leader.ErrNoHandler, q.Query, t.key.Instance, e.options.QueryLimit)
	}
}

// ask brings the execution to where it is to be asked, and asks it.
func ask(ctx context.Context, kept *keptExecution, q leader.Inquiry) (leader.QueryAnswer, error) {
	if kept.episodes != q.Execution.Episodes {
		past, err := q.Execution.History(ctx)
		if err != nil {
			return leader.QueryAnswer{}, fmt.Errorf("read the history of instance %q: %w", q.Execution.Key.Instance, err)
		}
		if err := kept.code.Replay(past); err != nil {
			return leader.QueryAnswer{}, err
		}
		kept.episodes, kept.bytes = q.Execution.Episodes, int64(history.PayloadBytes(past))
	}
	result, failure, err := kept.code.Query(q.Query, q.Input)
	if errors.Is(err, engine.ErrNoHandler) || errors.Is(err, engine.ErrNotBegun) {
		err = unhandled{err}
	}
	return leader.QueryAnswer{Result: result, Failure: failure}, err
}

// unhandled is a [leader.ErrNoHandler] in the words of the engine, which say what is handled.
type unhandled struct{ error }

// Is reports whether it is the target.
func (unhandled) Is(target error) bool { return target == leader.ErrNoHandler }

// Unwrap returns the engine's error.
func (u unhandled) Unwrap() error { return u.error }

// asking is a query on its way through the code.
type asking struct {
	*Orchestrators
	turn *turn
	kept *keptExecution
	came chan struct{} // closed at the end
	lost chan struct{} // closed where it lost its turn before

	answer leader.QueryAnswer // read after came is closed
	err    error
}

// giveUp lets others go on with an execution of their own. What asks is unloaded when
// it returns.
func (a *asking) giveUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := executionOf(a.turn.key)
	if a.busy[id] != a.turn {
		return // it is over
	}
	delete(a.busy, id)
	a.turn.end()
	a.turn.done, a.turn.abandoned, a.turn.asks = nil, true, true
	a.unloading[a.turn] = struct{}{}
	close(a.lost)
}

// maxUnanswered is how many queries that do not return a node bears, each of another
// execution.
const maxUnanswered = 16

// unanswered refuses a query of an execution one of whose queries does not return:
// each of them may cost a thread for ever.
func (e *Orchestrators) unanswered(key leader.ExecutionKey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	count := 0
	for t := range e.unloading {
		if !t.asks {
			continue
		}
		if count++; executionOf(t.key) == executionOf(key) || count >= maxUnanswered {
			return fmt.Errorf("%w: a query of instance %q has not returned since %s; see the stuck code in the log", leader.ErrNoHandler, t.key.Instance, t.since.Format(time.RFC3339))
		}
	}
	return nil
}

// end keeps the execution, if it can be used further.
func (a *asking) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer close(a.came)
	t := a.turn
	if a.busy[executionOf(t.key)] == t {
		delete(a.busy, executionOf(t.key))
	}
	delete(a.unloading, t)
	a.watch.end(t)
	t.end()
	panicked := a.answer.Failure != nil && a.answer.Failure.Type == history.FailurePanic
	a.keepLocked(t, a.kept, !panicked && (a.err == nil || errors.Is(a.err, engine.ErrNoHandler)))
}
