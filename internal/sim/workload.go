package sim

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// simPartitions is how many partitions a simulated cluster has: enough to have
// several leaders, few enough for an hour to pass quickly.
const simPartitions = 3

// acked is a start that was acknowledged.
type acked struct {
	ref       leader.InstanceRef
	execution history.ExecutionID
	plan      plan
	// seen is the longest history of the execution that was read so far.
	seen []history.Event
}

// workload is the clients of a world and what they know.
type workload struct {
	world *World
	began time.Time

	anew     atomic.Int64 // requests that were stamped anew
	followed atomic.Int64 // orchestrations that were watched to their end

	mu        sync.Mutex // guards all below
	acked     []*acked
	registers map[history.InstanceID]*register
	unknown   int // starts of unknown outcome
	collected []collecting
	banked    []banking
	counted   map[int]*counting // by client
	canceled  []cancelling
	books     []bookkeeping
	wrong     []string
}

func newWorkload(w *World) *workload {
	return &workload{world: w, began: time.Now(), registers: map[history.InstanceID]*register{}, counted: map[int]*counting{}}
}

// complain notes a broken promise.
func (l *workload) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// client is one caller. It asks a random node, as a client with several
// addresses does.
type client struct {
	*workload
	number int
	rng    *rand.Rand
	serial int
	// ahead is how wrong the client's clock is.
	ahead time.Duration
	// patience is how long the client goes on with one request, turn with one try.
	patience, turn time.Duration
}

func (l *workload) client(number int, seed uint64) *client {
	c := &client{workload: l, number: number, rng: rand.New(rand.NewPCG(seed, 100+uint64(number))), patience: patience, turn: patience}
	if c.rng.IntN(4) == 0 {
		c.ahead = time.Duration(c.rng.Int64N(int64(2*time.Hour))) - time.Hour
	}
	return c
}

// run makes requests until ctx is done, and then finishes the one under way.
func (c *client) run(ctx context.Context) {
	for pause(ctx, time.Duration(c.rng.IntN(4000))*time.Millisecond) {
		switch n := c.rng.IntN(14); {
		case n < 6:
			c.startMixed()
		case n == 6 && c.rng.IntN(2) == 0:
			c.collect(ctx)
		case n < 8:
			c.touchRegister()
		case n == 13 && c.rng.IntN(2) == 0:
			c.cancel(ctx)
		case n == 13:
			c.keep(ctx)
		case n >= 10:
			c.bank(ctx)
		default:
			c.readBack()
		}
	}
}

// patience is how long a caller goes on with one request.
const patience = 20 * time.Second

// ask tries a request on random nodes until an answer comes that settles it, by
// the rules of package client. The same identity goes with every try (nil: the
// request changes nothing); where it is too old for the partition, and certainly
// nothing was done, it is stamped anew. known is false if the outcome is not known.
func (c *client) ask(identity *leader.RequestIdentity, try func(ctx context.Context, node caller) error) (err error, known bool) {
	deadline := time.Now().Add(c.patience)
	maybe := false // a try may have been executed
	for time.Now().Before(deadline) {
		node := c.world.running(c.rng.IntN(len(c.world.nodes)))
		if node == nil {
			time.Sleep(50 * time.Millisecond) // until one is started again
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), min(c.turn, time.Until(deadline)))
		err := try(ctx, node)
		cancel()
		var expired *leader.ExpiredError
		switch {
		case err == nil, errors.Is(err, leader.ErrNotFound), errors.Is(err, leader.ErrExists), errors.Is(err, leader.ErrFull):
			return err, true
		case errors.As(err, &expired) && !maybe:
			identity.Sent = expired.Clock
			c.anew.Add(1)
		case errors.Is(err, leader.ErrRequestExpired):
			return err, false
		case errors.Is(err, leader.ErrOverloaded):
		default:
			maybe = true
		}
		time.Sleep(time.Duration(20+c.rng.IntN(100)) * time.Millisecond)
	}
	return context.DeadlineExceeded, !maybe
}

// caller is what clients use of a node.
type caller interface {
	StartInstance(context.Context, leader.StartRequest) (leader.StartAnswer, error)
	Terminate(context.Context, leader.TerminateRequest) error
	Cancel(context.Context, leader.CancelRequest) error
	Update(context.Context, leader.UpdateRequest) (leader.UpdateReply, error)
	Raise(context.Context, leader.RaiseRequest) error
	Status(context.Context, leader.StatusRequest) (leader.Instance, error)
	Wait(context.Context, leader.WaitRequest) (leader.Instance, error)
	Watch(context.Context, leader.WatchRequest) (leader.WatchAnswer, error)
	History(context.Context, leader.HistoryRequest) (leader.HistoryPage, error)
	Signal(context.Context, leader.SignalRequest) error
	Entity(context.Context, leader.EntityStatusRequest) (leader.Entity, error)
}

func (c *client) newExecution() history.ExecutionID {
	var b [16]byte
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	return startOf(history.ExecutionID(hex.EncodeToString(b[:])))
}

// Each try of a start asks for an execution of its own, as nodes do for their
// callers; the last two digits of its ID count the tries.

// tried returns the execution of the next try of a start.
func tried(execution history.ExecutionID) history.ExecutionID {
	var n int
	if _, err := fmt.Sscanf(string(execution[len(execution)-2:]), "%x", &n); err != nil {
		panic(err)
	}
	return startOf(execution)[:len(execution)-2] + history.ExecutionID(fmt.Sprintf("%02x", n+1))
}

// startOf returns what the executions of all tries of a start have in common.
func startOf(execution history.ExecutionID) history.ExecutionID {
	if execution == "" {
		return ""
	}
	return execution[:len(execution)-2] + "00"
}

func (c *client) identity() leader.RequestIdentity {
	c.serial++
	return leader.RequestIdentity{ID: fmt.Sprintf("c%d-%d", c.number, c.serial), Sent: time.Now().Add(c.ahead)}
}

func (c *client) startMixed() {
	p := plan{Seed: c.rng.Uint64() >> 12, Steps: 1 + c.rng.IntN(6)}
	input, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	identity := c.identity()
	req := leader.StartRequest{
		Instance:  leader.InstanceRef{Hub: "sim", ID: history.InstanceID(identity.ID)},
		Execution: c.newExecution(), Name: mixed.Name(), Input: input, Identity: identity,
	}
	var answer leader.StartAnswer
	err, known := c.ask(&req.Identity, func(ctx context.Context, node caller) (err error) {
		req.Execution = tried(req.Execution)
		answer, err = node.StartInstance(ctx, req)
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		if startOf(answer.Execution) != startOf(req.Execution) || !answer.Started {
			c.wrong = append(c.wrong, fmt.Sprintf("G2: start of %s was answered with another execution: %+v", req.Instance.ID, answer))
		}
		c.acked = append(c.acked, &acked{ref: req.Instance, execution: answer.Execution, plan: p})
	case !known:
		c.unknown++
	case errors.Is(err, leader.ErrExists):
		c.wrong = append(c.wrong, fmt.Sprintf("G2: start of %s, which nobody else starts, was refused: %v", req.Instance.ID, err))
	}
}

// touchRegister makes an operation on an ID that several clients share; each gets
// few operations, for the checker's sake.
func (c *client) touchRegister() {
	c.touch(fmt.Sprintf("reg-%d-%d", int(time.Since(c.began)/(2*time.Minute)), c.rng.IntN(3)))
}

// watch works on some IDs without a pause whenever a fault begins: a stale read
// or a lost answer shows only in the moments in which leadership moves.
func (l *workload) watch(ctx context.Context, seed uint64) {
	for burst := 0; ; burst++ {
		select {
		case <-ctx.Done():
			return
		case <-l.world.strikes:
		}
		var callers sync.WaitGroup
		for i := range watchers {
			callers.Go(func() {
				c := l.client(1000*(burst+1)+i, seed)
				// Who waits for a node that is cut off sees nothing.
				c.patience, c.turn = time.Second, 150*time.Millisecond
				for range watcherOperations {
					c.touch(fmt.Sprintf("watch-%d-%d", burst, c.rng.IntN(watched)))
					pause(ctx, time.Duration(c.rng.IntN(60))*time.Millisecond)
				}
			})
		}
		callers.Wait()
	}
}

// The size of a burst of operations: about 17 on each ID.
const (
	watchers          = 8
	watched           = 18
	watcherOperations = 40
)

// touch makes an operation on an ID.
func (c *client) touch(name string) {
	id := history.InstanceID(name)
	c.mu.Lock()
	r := c.registers[id]
	if r == nil {
		r = &register{begin: c.began}
		c.registers[id] = r
	}
	c.mu.Unlock()
	ref := leader.InstanceRef{Hub: "sim", ID: id}
	in := asked{action: []action{actStart, actTerminate, actStatus, actStatus}[c.rng.IntN(4)], execution: c.newExecution()}
	end := r.call(c.number, in)
	if end == nil {
		return
	}
	identity := c.identity()
	var out answered
	execution := in.execution
	err, known := c.ask(&identity, func(ctx context.Context, node caller) error {
		switch in.action {
		case actStart:
			execution = tried(execution)
			_, err := node.StartInstance(ctx, leader.StartRequest{Instance: ref, Execution: execution, Name: hold.Name(), Identity: identity})
			return err
		case actTerminate:
			return node.Terminate(ctx, leader.TerminateRequest{Instance: ref, Identity: identity})
		default:
			got, err := node.Status(ctx, leader.StatusRequest{Instance: ref})
			out.execution, out.ended = startOf(got.Execution), got.Status.Ended()
			return err
		}
	})
	switch {
	case err == nil:
	case known && errors.Is(err, leader.ErrExists):
		out = answered{refused: true}
	case known && errors.Is(err, leader.ErrNotFound):
		out = answered{missing: true}
	default:
		out = answered{unknown: true}
	}
	end(out)
}

// readBack reads the history of an acknowledged start: it is there, and it is a
// continuation of what was read before (G1, G3).
func (c *client) readBack() {
	c.mu.Lock()
	if len(c.acked) == 0 {
		c.mu.Unlock()
		return
	}
	a := c.acked[max(0, len(c.acked)-1-c.rng.IntN(min(len(c.acked), 100)))]
	c.mu.Unlock()
	var page leader.HistoryPage
	err, _ := c.ask(nil, func(ctx context.Context, node caller) (err error) {
		page, err = node.History(ctx, leader.HistoryRequest{Instance: a.ref, Execution: a.execution})
		return err
	})
	if errors.Is(err, leader.ErrNotFound) {
		c.complain("G1: the acknowledged start of %s is not there", a.ref.ID)
	}
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := notPrefix(a.seen, page.Events); diff != "" {
		c.wrong = append(c.wrong, fmt.Sprintf("G3: history of %s: %s", a.ref.ID, diff))
	}
	if len(page.Events) > len(a.seen) {
		a.seen = page.Events
	}
}
