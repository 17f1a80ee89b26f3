package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// start is one start of an order, as the caller saw it.
type start struct {
	order order
	acked bool
	err   error // where it was not acknowledged
}

// load starts orders at a steady rate, whatever becomes of them.
type load struct {
	stop    context.CancelFunc
	done    chan struct{} // closed once every start has its answer, or none
	mu      sync.Mutex    // guards starts
	starts  []start
	skipped int // not started because too many had no answer yet; read after done
}

// maxUnanswered bounds the starts that wait for their answer.
const maxUnanswered = 4096

func begin(ctx context.Context, api *client.Client, rate float64, slow time.Duration, prefix string) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		var wg sync.WaitGroup
		defer wg.Wait()
		room := make(chan struct{}, maxUnanswered)
		ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			select {
			case room <- struct{}{}:
			default:
				l.skipped++
				continue
			}
			in := order{ID: fmt.Sprintf("%s-%d", prefix, n), N: n % 1000, Slow: slow}
			wg.Go(func() {
				defer func() { <-room }()
				err := one(context.WithoutCancel(ctx), api, in)
				l.mu.Lock()
				l.starts = append(l.starts, start{in, err == nil, err})
				l.mu.Unlock()
			})
		}
	}()
	return l
}

// one starts an order. Every second caller waits for the end in the same call.
func one(ctx context.Context, api *client.Client, in order) (err error) {
	id := client.WithID(history.InstanceID(in.ID))
	if in.N%2 == 0 {
		_, err = client.Run(ctx, api, fill, in, id)
	} else {
		_, err = client.Execute(ctx, api, fill, in, id)
	}
	return err
}

// end stops the load and returns all starts.
func (l *load) end() []start {
	l.stop()
	<-l.done
	return l.starts
}

// cluster starts three nodes whose activities write to a new ledger. With -artifacts
// their data and logs are kept, and where the goroutines of a node stood if the
// test failed.
func cluster(t *testing.T) (*testcluster.Cluster, *client.Client, *ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := newLedger(t)
	c, err := testcluster.Start(ctx, testcluster.Config{Dir: t.ArtifactDir(), Nodes: 3, Role: "node", Extra: l.addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, n := range c.Nodes {
			if err := n.Goroutines(ctx, n.Dir()+".goroutines"); err != nil {
				t.Log(err)
			}
		}
	})
	if err := c.Balanced(ctx); err != nil {
		t.Fatal(err)
	}
	api, err := client.Dial(c.APIAddrs(), client.WithPatience(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	return c, api, l
}

// report fails the test with what the judge found wrong, and tells the rest.
func report(t *testing.T, v verdict, l *ledger, starts []start) {
	t.Helper()
	effects, repeated, stale, _ := l.summary()
	t.Logf("%d starts acknowledged, %d without answer (%d of them happened); %d effects, %d steps done more than once, %d stale attempts refused by the ledger", v.acked, v.unknown, v.happened, effects, repeated, stale)
	const most = 20
	for i, w := range v.wrong {
		if i == most {
			t.Errorf("and %d more", len(v.wrong)-most)
			break
		}
		t.Error(w)
	}
	unanswered := 0
	for _, s := range starts {
		if !s.acked && unanswered < 3 {
			unanswered++
			t.Logf("without answer: %s: %v", s.order.ID, s.err)
		}
	}
}
