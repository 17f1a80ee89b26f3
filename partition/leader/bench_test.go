package leader

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// instantExecutor runs "seq:5" without a replay.
type instantExecutor struct{}

func (instantExecutor) Forget(ExecutionKey)        {}
func (instantExecutor) ForgetReign(uint32, uint64) {}
func (instantExecutor) Query(context.Context, Inquiry) (QueryAnswer, error) {
	return QueryAnswer{}, ErrNoHandler
}
func (instantExecutor) Episode(_ context.Context, req EpisodeRequest) (history.Episode, error) {
	var body history.Body = &history.TaskScheduled{Name: "step", Input: history.Payload(`{"some":"input of about a hundred bytes, as the workloads have it, in JSON as always"}`)}
	if req.Episodes == 5 {
		body = &history.ExecutionCompleted{Status: history.Completed, Result: history.Payload("done")}
	}
	return history.Episode{Decided: []history.Event{{ID: int32(req.Episodes), Body: body}}}, nil
}

// instantNodes complete every activity at once.
type instantNodes struct{ leader *Leader }

func (n *instantNodes) Dispatch(task ActivityTask) bool {
	n.leader.Complete(ActivityResult{Attempt: task.Attempt, Result: history.Payload(`{"some":"result of about a hundred bytes, as the workloads have it"}`)}, func(error) {})
	return true
}
func (n *instantNodes) Cancel(AttemptID, string) {}
func (n *instantNodes) Survey(context.Context, uint32, uint64) []AttemptID {
	return nil
}

// BenchmarkTurns runs orchestrations of five activities in sequence (six turns)
// through a leader whose log commits at once.
func BenchmarkTurns(b *testing.B) {
	log := newFakeLog(openState(b), 1)
	nodes := &instantNodes{}
	l := New(Config{Partition: 7, Log: log, Executor: instantExecutor{}, Dispatcher: nodes})
	nodes.leader = l
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	var next atomic.Int64
	var callers sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 64 {
		callers.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				at := ref(fmt.Sprint("instance-", n))
				if _, err := l.Start(ctx, StartRequest{Instance: at, Name: "seq", Execution: "0123456789abcdef0123456789abcdef"}); err != nil {
					b.Error(err)
					return
				}
				if _, err := l.Wait(ctx, WaitRequest{Instance: at, Ended: true, Payloads: true}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.StopTimer()
	s := l.Stats()
	b.ReportMetric(float64(s.Turns)/b.Elapsed().Seconds(), "turns/s")
	b.ReportMetric(float64(s.Turns)/float64(s.Entries), "turns/entry")
	b.ReportMetric(float64(s.EntryBytes)/float64(b.N), "bytes/op")
	cancel()
	<-ended
	if err := log.db.Close(); err != nil {
		b.Error(err)
	}
}

// countingExecutor schedules so many activities at once and ends with the last.
type countingExecutor struct {
	tasks int
	mu    sync.Mutex
	done  map[history.InstanceID]int
}

func (*countingExecutor) Forget(ExecutionKey)        {}
func (*countingExecutor) ForgetReign(uint32, uint64) {}
func (*countingExecutor) Query(context.Context, Inquiry) (QueryAnswer, error) {
	return QueryAnswer{}, ErrNoHandler
}
func (x *countingExecutor) Episode(_ context.Context, req EpisodeRequest) (history.Episode, error) {
	var ep history.Episode
	if req.Episodes == 0 {
		for id := range x.tasks {
			ep.Decided = append(ep.Decided, history.Event{ID: int32(id), Body: &history.TaskScheduled{Name: "step", Input: history.Payload(`{"some":"input"}`)}})
		}
		return ep, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range req.Arrived {
		if _, ok := e.Body.(*history.TaskCompleted); ok {
			x.done[req.Key.Instance]++
		}
	}
	if x.done[req.Key.Instance] == x.tasks {
		ep.Decided = []history.Event{{ID: int32(x.tasks), Body: &history.ExecutionCompleted{Status: history.Completed}}}
	}
	return ep, nil
}

// smallNodes have room for a few attempts at a time.
type smallNodes struct {
	instantNodes
	room chan struct{}
}

func (n *smallNodes) Dispatch(task ActivityTask) bool {
	select {
	case n.room <- struct{}{}:
	default:
		return false
	}
	n.leader.Complete(ActivityResult{Attempt: task.Attempt, Result: history.Payload(`{"some":"result"}`)}, func(error) {
		<-n.room
		n.leader.CapacityFreed()
	})
	return true
}

// BenchmarkFanOut runs one orchestration of many activities at once on nodes with
// little room; the cost of an activity must not grow with their number.
func BenchmarkFanOut(b *testing.B) {
	for _, tasks := range []int{1_000, 10_000, 40_000} {
		b.Run(fmt.Sprint(tasks), func(b *testing.B) {
			log := newFakeLog(openState(b), 1)
			nodes := &smallNodes{room: make(chan struct{}, 64)}
			executor := &countingExecutor{tasks: tasks, done: map[history.InstanceID]int{}}
			l := New(Config{Partition: 7, Log: log, Executor: executor, Dispatcher: nodes})
			nodes.leader = l
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			n := 0
			for b.Loop() {
				n++
				at := ref(fmt.Sprint("instance-", n))
				if _, err := l.Start(ctx, StartRequest{Instance: at, Name: "fan", Execution: "0123456789abcdef0123456789abcdef"}); err != nil {
					b.Fatal(err)
				}
				if _, err := l.Wait(ctx, WaitRequest{Instance: at, Ended: true}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*tasks), "µs/activity")
			cancel()
			<-ended
			if err := log.db.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}
