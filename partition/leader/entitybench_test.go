package leader

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkSignals sends operations of clients to a thousand entities, through a
// leader whose log commits at once.
func BenchmarkSignals(b *testing.B) {
	log := newFakeLog(openState(b), 1)
	l := New(Config{Partition: 7, Log: log, Executor: instantExecutor{}, Entities: newFakeEntities(), Dispatcher: &instantNodes{}})
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
				if err := l.Signal(ctx, SignalRequest{Entity: ref(fmt.Sprintf("@counter@%d", n%1000)), Operation: "add:1"}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.StopTimer()
	s := l.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signals/s")
	b.ReportMetric(float64(s.Turns)/float64(s.Entries), "turns/entry")
	b.ReportMetric(float64(s.EntryBytes)/float64(b.N), "bytes/op")
	cancel()
	<-ended
	if err := log.db.Close(); err != nil {
		b.Error(err)
	}
}
