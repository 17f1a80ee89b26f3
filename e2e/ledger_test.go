package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/reprise-run/reprise"
)

// effect is what an activity asks the ledger to note.
type effect struct {
	Tag   string // what it is: instance and step, chosen by the orchestrator
	Key   string // idempotency key of the attempt
	Fence reprise.Fence
	Node  string // where the attempt ran
}

// note is the ledger's answer.
type note struct {
	Receipt int64 // different for every effect
	// Stale is set where the ledger had seen a higher fence of the key; nothing was
	// noted.
	Stale bool
}

// ledger counts effects outside of the cluster. It is safe for concurrent use.
type ledger struct {
	addr string

	mu       sync.Mutex // guards the fields below
	effects  []effect   // by receipt, from 1
	receipts map[string][]int64
	tags     map[string]string // by key
	keys     map[string]string // by tag
	fences   map[string]reprise.Fence
	stale    int
	wrong    []string // what must never happen
}

// newLedger starts a ledger on a free port; it ends with the test.
func newLedger(t *testing.T) *ledger {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{
		addr: "http://" + listener.Addr().String(), receipts: map[string][]int64{},
		tags: map[string]string{}, keys: map[string]string{}, fences: map[string]reprise.Fence{},
	}
	server := &http.Server{Handler: http.HandlerFunc(l.serve)}
	t.Cleanup(func() { server.Close() })
	go func() { _ = server.Serve(listener) }() // returns when the server is closed
	return l
}

func (l *ledger) serve(w http.ResponseWriter, r *http.Request) {
	var e effect
	err := json.NewDecoder(r.Body).Decode(&e)
	if err == nil {
		err = json.NewEncoder(w).Encode(l.write(e))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// write notes an effect, unless its fence is lower than one seen before.
func (l *ledger) write(e effect) note {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tag, seen := l.tags[e.Key]; seen && tag != e.Tag {
		l.wrong = append(l.wrong, fmt.Sprintf("key %s was used for %s and for %s", e.Key, tag, e.Tag))
	}
	if key, seen := l.keys[e.Tag]; seen && key != e.Key {
		l.wrong = append(l.wrong, fmt.Sprintf("%s was attempted with key %s and with key %s", e.Tag, key, e.Key))
	}
	l.tags[e.Key], l.keys[e.Tag] = e.Tag, e.Key
	if seen, ok := l.fences[e.Key]; ok {
		switch e.Fence.Compare(seen) {
		case -1:
			l.stale++
			return note{Stale: true}
		case 0:
			l.wrong = append(l.wrong, fmt.Sprintf("two attempts of %s have the fence %v", e.Tag, e.Fence))
		}
	}
	l.fences[e.Key] = e.Fence
	l.effects = append(l.effects, e)
	receipt := int64(len(l.effects))
	l.receipts[e.Tag] = append(l.receipts[e.Tag], receipt)
	return note{Receipt: receipt}
}

// issued reports whether the ledger gave the receipt for the tag.
func (l *ledger) issued(receipt int64, tag string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return receipt >= 1 && receipt <= int64(len(l.effects)) && l.effects[receipt-1].Tag == tag
}

// summary returns how many effects there are, how many steps were done more than
// once, how many attempts were refused as stale, and what must never happen.
func (l *ledger) summary() (effects, repeated, stale int, wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.receipts {
		if len(r) > 1 {
			repeated++
		}
	}
	return len(l.effects), repeated, l.stale, l.wrong
}

// ledgerClient is a node's way to the ledger.
type ledgerClient struct {
	addr, node string
	http       *http.Client
}

func newLedgerClient(addr, node string) *ledgerClient {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &ledgerClient{addr, node, &http.Client{Transport: transport}}
}

// write asks the ledger to note the effect of an attempt.
func (c *ledgerClient) write(ctx context.Context, tag string) (note, error) {
	attempt := reprise.Attempt(ctx)
	body, err := json.Marshal(effect{tag, attempt.Key, attempt.Fence, c.node})
	if err != nil {
		return note{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.addr, bytes.NewReader(body))
	if err != nil {
		return note{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return note{}, err
	}
	defer resp.Body.Close()
	var n note
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil {
		return note{}, fmt.Errorf("read the ledger's answer: %w", err)
	}
	return n, nil
}

func TestLedgerNoticesWhatMustNeverHappen(t *testing.T) {
	at := func(tag, key string, n uint64) effect {
		return effect{Tag: tag, Key: key, Fence: reprise.Fence{Epoch: 1, N: n}}
	}
	for _, c := range []struct {
		name    string
		effects []effect
		stale   int
		wrong   int
	}{
		{"repeated attempts", []effect{at("a", "k", 1), at("a", "k", 2)}, 0, 0},
		{"a stale attempt", []effect{at("a", "k", 2), at("a", "k", 1)}, 1, 0},
		{"one key for two steps", []effect{at("a", "k", 1), at("b", "k", 2)}, 0, 1},
		{"two keys for one step", []effect{at("a", "k", 1), at("a", "l", 2)}, 0, 1},
		{"one fence twice", []effect{at("a", "k", 1), at("a", "k", 1)}, 0, 1},
	} {
		l := &ledger{receipts: map[string][]int64{}, tags: map[string]string{}, keys: map[string]string{}, fences: map[string]reprise.Fence{}}
		for _, e := range c.effects {
			l.write(e)
		}
		if _, _, stale, wrong := l.summary(); stale != c.stale || len(wrong) != c.wrong {
			t.Errorf("%s: %d stale, wrong is %q; want %d and %d", c.name, stale, wrong, c.stale, c.wrong)
		}
	}
}
