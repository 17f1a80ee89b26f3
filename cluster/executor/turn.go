package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var errClosed = errors.New("the node is stopping")

// turn is user code that has the word: an episode, a query, a run of operations, or the
// deferred functions that run while an execution is unloaded.
type turn struct {
	key       leader.ExecutionKey
	name      string
	since     time.Time
	label     string // of its goroutines
	unloading bool

	reported bool // a person was told; guarded by watch.mu

	// Guarded by the executor's mutex.
	abandoned bool          // nobody takes the outcome
	asks      bool          // it is a query that lost its turn
	done      chan struct{} // nil if nobody waits; closed when the code has given the word back
}

// ended returns a channel that is closed when the turn is over. Call with the
// executor's mutex held.
func (t *turn) ended() <-chan struct{} {
	if t.done == nil {
		t.done = make(chan struct{})
	}
	return t.done
}

// ending is a turn whose end is waited for.
type ending struct {
	instance history.InstanceID
	ended    <-chan struct{}
}

// ending is for [waitForAll]. Call with the executor's mutex held.
func (t *turn) ending() ending { return ending{t.key.Instance, t.ended()} }

// end tells those who wait for the turn. Call with the executor's mutex held.
func (t *turn) end() {
	if t.done != nil {
		close(t.done)
	}
}

// awaitTurn waits until code of the owner (an execution, or an entity) does not have the
// word, or ctx is done. Call with mu held, which is given up meanwhile.
func awaitTurn[Owner comparable](ctx context.Context, mu *sync.Mutex, busy map[Owner]*turn, owner Owner) {
	for busy[owner] != nil && ctx.Err() == nil {
		ended := busy[owner].ended()
		mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
		mu.Lock()
	}
}

// waitForAll waits until all turns have ended, or ctx is done.
func waitForAll(ctx context.Context, all []ending) error {
	for _, t := range all {
		select {
		case <-t.ended:
		case <-ctx.Done():
			return fmt.Errorf("close the executor: instance %q: %w", t.instance, ctx.Err())
		}
	}
	return nil
}
