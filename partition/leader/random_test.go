package leader

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

var seedFlag = flag.Uint64("seed", 0, "seed of TestRandom; 0: several")

// TestRandom plays random operations against leaders that crash at random
// entries, and checks the whole state after each reign. In the end everything is
// mended, and every acknowledged start must end with what was recorded of it.
func TestRandom(t *testing.T) {
	seeds := []uint64{*seedFlag}
	if *seedFlag == 0 {
		seeds = seeds[:0]
		for range 24 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStory(t)
				s.short = true
				defer s.close()
				s.executor.note = func(string, ...any) {}
				s.entities.note = s.executor.note
				s.nodes.note = s.executor.note
				newGambler(t, s, seed).play()
			})
		})
	}
}

// gambler does random things to a story.
type gambler struct {
	t   *testing.T
	s   *story
	rng *rand.Rand
	// history of every execution that was ever seen, by row.
	seen map[history.ExecutionID][][]byte

	mu       sync.Mutex
	acked    map[history.ExecutionID]InstanceRef // starts
	issued   map[history.ExecutionID]int         // in which round, unless refused
	round    int                                 // starts of one round overlap
	recorded map[AttemptID]int                   // results that were told to be recorded
	sent     []ActivityResult
	n        int
	// Additions to the counter that were acknowledged, and that may have been made.
	least, most int
}

func newGambler(t *testing.T, s *story, seed uint64) *gambler {
	return &gambler{
		t: t, s: s, rng: rand.New(rand.NewPCG(seed, 0)),
		seen:  map[history.ExecutionID][][]byte{},
		acked: map[history.ExecutionID]InstanceRef{}, issued: map[history.ExecutionID]int{},
		recorded: map[AttemptID]int{},
	}
}

func (g *gambler) play() {
	g.s.limits = Limits{Timers: 3, Tasks: 3, Instances: 4, Runnable: 8, EntryBytes: 2000, InFlight: storyInFlight}
	for range 12 {
		g.reign()
	}
	g.settle()
}

func (g *gambler) lead() {
	g.s.nodes.mu.Lock()
	g.s.nodes.survey = nil
	for _, task := range g.s.nodes.given {
		if g.rng.IntN(3) == 0 {
			g.s.nodes.survey = append(g.s.nodes.survey, task.Attempt)
		}
	}
	g.s.nodes.mu.Unlock()
	g.s.lead()
}

func (g *gambler) reign() {
	g.lead()
	g.s.log.mu.Lock()
	g.s.log.left = g.rng.IntN(60)
	g.s.log.mu.Unlock()
	for range 40 {
		g.step()
		if g.s.log.crashed() && g.rng.IntN(4) == 0 {
			break
		}
	}
	g.s.crash()
	g.check()
}

// check verifies the invariants, and that no history changed.
func (g *gambler) check() {
	g.t.Helper()
	state := applied{g.s.db}
	violations, err := partition.Check(state, 7)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, v := range violations {
		g.t.Error(v)
	}
	for id := range 18 {
		ref := ref(fmt.Sprint("icd"[id/6:id/6+1], id%6))
		addr := partition.NewAddress(7, ref.Hub, ref.ID)
		rec, err := partition.ReadRecord(state, addr)
		if err != nil {
			g.t.Fatal(err)
		}
		if rec == nil {
			continue
		}
		old := g.seen[rec.Execution]
		var now [][]byte
		err = partition.ReadHistory(state, addr, rec.Execution, 0, rec.Episodes, func(episode int64, data []byte) (bool, error) {
			now = append(now, data)
			if int(episode) < len(old) && !bytes.Equal(old[episode], data) {
				g.t.Errorf("episode %d of %s changed", episode, rec.Execution)
			}
			return true, nil
		})
		if err != nil {
			g.t.Fatal(err)
		}
		if len(now) < len(old) {
			g.t.Errorf("history of %s shrank from %d to %d", rec.Execution, len(old), len(now))
		}
		g.seen[rec.Execution] = now
	}
	if g.t.Failed() {
		g.t.FailNow()
	}
}

func (g *gambler) step() {
	switch g.rng.IntN(16) {
	case 0, 1:
		g.start()
	case 2:
		g.raise()
	case 3:
		req := TerminateRequest{Instance: ref(fmt.Sprint("icd"[g.rng.IntN(3):][:1], g.rng.IntN(6))), Reason: history.Payload("dice"), Recurse: g.rng.IntN(2) == 0}
		l := g.s.leader
		go func() { _ = l.Terminate(context.Background(), req) }()
	case 4, 5, 6, 7:
		g.complete()
	case 8:
		g.again()
	case 9:
		time.Sleep(time.Duration(g.rng.IntN(3000)) * time.Millisecond)
	case 10:
		g.s.skew.Add(int64(time.Duration(g.rng.IntN(7200)-3600) * time.Second / 60))
	case 11:
		g.s.code([]string{"bind", "unbind", "break", "mend", "fail", "mend"}[g.rng.IntN(6)], g.name())
		g.s.leader.BindingsChanged()
	case 12:
		if name := g.name(); g.s.executor.slow[name] == nil {
			g.s.code("block", name)
		} else {
			g.s.code("unblock", name)
		}
	case 13:
		g.s.nodes.mu.Lock()
		g.s.nodes.room = g.rng.IntN(12) - 1
		g.s.nodes.mu.Unlock()
		g.s.leader.CapacityFreed()
	case 14:
		if !g.s.log.crashed() {
			g.s.log.hold(g.rng.IntN(2) == 0)
		}
	case 15:
		g.s.log.commit(g.rng.IntN(3))
	}
	switch g.rng.IntN(18) {
	case 0, 1:
		g.signal()
	case 2:
		g.s.code([]string{"bind", "unbind", "fail", "mend"}[g.rng.IntN(4)], []string{"@acct", "@counter"}[g.rng.IntN(2)])
		g.s.leader.BindingsChanged()
	case 3:
		if g.s.entities.slow["acct"] == nil {
			g.s.code("block", "@acct")
		} else {
			g.s.code("unblock", "@acct")
		}
	}
	if g.rng.IntN(3) > 0 {
		synctest.Wait()
		g.round++
	}
}

func (g *gambler) name() string {
	return []string{"seq", "fan", "sleep", "race", "retry", "echo", "call", "drop", "loop", "listen", "tell"}[g.rng.IntN(11)]
}

func (g *gambler) start() {
	g.n++
	name := g.name()
	switch name {
	case "tell":
		name += fmt.Sprint(":i", g.rng.IntN(6))
	case "seq", "fan", "retry", "loop":
		name += fmt.Sprint(":", 1+g.rng.IntN(5))
	case "call", "drop":
		name += fmt.Sprintf(":c%d/seq:2", g.rng.IntN(6))
		if g.rng.IntN(2) == 0 && strings.HasPrefix(name, "call") {
			name += fmt.Sprintf(",c%d/call:d%d/fan:2,c%d", g.rng.IntN(6), g.rng.IntN(3), g.rng.IntN(6))
		}
	case "sleep", "race":
		name += fmt.Sprint(":", g.rng.IntN(4000), "ms")
	}
	if g.rng.IntN(3) == 0 {
		name = g.entityProgram()
	}
	req := StartRequest{
		Instance: ref(fmt.Sprint("i", g.rng.IntN(6))), Name: name,
		Execution: history.ExecutionID(fmt.Sprint("x", g.n)), Input: bytes.Repeat([]byte("i"), g.rng.IntN(20)),
	}
	if g.rng.IntN(10) == 0 {
		req.Input = make(history.Payload, 300_000)
	}
	if g.rng.IntN(5) == 0 {
		req.ScheduledStart = time.Now().Add(time.Duration(g.s.skew.Load()) + time.Duration(g.rng.IntN(3000))*time.Millisecond)
	}
	if g.rng.IntN(3) == 0 {
		req.Reuse = ReusePolicy{}
		for st := history.Running; st <= history.Suspended; st++ {
			req.Reuse[st] = Replace
		}
	}
	if g.rng.IntN(2) == 0 {
		req.Identity = RequestIdentity{fmt.Sprint("r", g.n), time.Now().Add(time.Duration(g.s.skew.Load()))}
	}
	l := g.s.leader
	g.mu.Lock()
	g.issued[req.Execution] = g.round
	g.mu.Unlock()
	go func() {
		a, err := l.Start(context.Background(), req)
		g.mu.Lock()
		defer g.mu.Unlock()
		switch {
		case errors.Is(err, ErrNotLeading): // unknown
		case err != nil:
			delete(g.issued, req.Execution)
		case !a.Started || a.Execution != req.Execution:
			g.t.Errorf("start of %s was answered with %+v", req.Execution, a)
		default:
			g.acked[req.Execution] = req.Instance
		}
	}()
}

func (g *gambler) raise() {
	req := RaiseRequest{Instance: ref(fmt.Sprint("i", g.rng.IntN(6))), Name: "go", Data: history.Payload("e")}
	if g.rng.IntN(2) == 0 {
		g.n++
		req.Identity = RequestIdentity{fmt.Sprint("r", g.n), time.Now().Add(time.Duration(g.s.skew.Load()))}
	}
	l := g.s.leader
	go func() { _ = l.Raise(context.Background(), req) }() // whether it counts is what lists show
}

func (g *gambler) complete() {
	g.s.nodes.mu.Lock()
	given := g.s.nodes.given
	g.s.nodes.mu.Unlock()
	if len(given) == 0 {
		return
	}
	task := given[len(given)-1-g.rng.IntN(min(len(given), 6))]
	r := ActivityResult{Attempt: task.Attempt, Result: history.Payload(fmt.Sprintf("%d", task.Attempt.Fence.N))}
	if g.rng.IntN(4) == 0 {
		r.Result, r.Failure = nil, &history.Failure{Type: "dice", Message: "bad luck"}
	}
	g.send(r)
}

// again sends a result once more, or tells that an attempt is lost.
func (g *gambler) again() {
	if len(g.sent) == 0 {
		return
	}
	r := g.sent[g.rng.IntN(len(g.sent))]
	if g.rng.IntN(2) == 0 {
		g.s.leader.AttemptsLost([]AttemptID{r.Attempt})
		return
	}
	g.send(r)
}

func (g *gambler) send(r ActivityResult) {
	g.sent = append(g.sent, r)
	g.s.leader.Complete(r, func(err error) {
		if err == nil {
			g.mu.Lock()
			g.recorded[r.Attempt]++
			g.mu.Unlock()
		}
	})
}

// settle mends everything and lets all instances end.
func (g *gambler) settle() {
	x := g.s.executor
	x.mu.Lock()
	clear(x.bound)
	clear(x.broken)
	clear(x.failing)
	for name, gate := range x.slow {
		close(gate)
		delete(x.slow, name)
	}
	x.mu.Unlock()
	g.s.entities.mend()
	g.s.nodes.room = -1
	g.s.nodes.given = nil
	g.lead()
	g.s.leader.BindingsChanged()
	for range 200 {
		synctest.Wait()
		g.s.nodes.mu.Lock()
		given := g.s.nodes.given
		g.s.nodes.given = nil
		g.s.nodes.mu.Unlock()
		for _, task := range given {
			g.send(ActivityResult{Attempt: task.Attempt, Result: history.Payload("end")})
		}
		for range 6 {
			g.raise()
		}
		time.Sleep(time.Second) // until what was sent is recorded and asks for more
	}
	time.Sleep(5 * time.Hour) // the wall clock may have been ahead
	synctest.Wait()
	for e, at := range g.acked {
		in, err := g.s.leader.Status(g.t.Context(), StatusRequest{at, true})
		addr := partition.NewAddress(7, at.Hub, at.ID)
		if rec, _ := partition.ReadRecord(applied{g.s.db}, addr); rec != nil && rec.First != "" {
			in.Execution = rec.First // it has continued as new since
		}
		if round, ok := g.issued[in.Execution]; ok && in.Execution != e && round >= g.issued[e] && in.Status.Ended() {
			continue // replaced
		}
		if err != nil || in.Execution != e || !in.Status.Ended() {
			g.t.Errorf("acknowledged start %s of %s: now %s %s %v, waits for %v", e, at.ID, in.Execution, in.Status, err, in.Waiting)
		}
	}
	g.checkEntities()
	left := 0
	err := partition.ReadOutbox(applied{g.s.db}, 7, 7, 0, func(uint64, []byte, int) bool { left++; return true })
	if err != nil || left > 0 {
		g.t.Errorf("%d letters were never delivered: %v", left, err)
	}
	g.s.crash()
	g.check()
	g.t.Logf("%d starts acknowledged, %d results recorded", len(g.acked), len(g.recorded))
	if len(g.acked) < 5 || len(g.recorded) < 1 {
		g.t.Errorf("too little happened: %d starts, %d results", len(g.acked), len(g.recorded))
	}
}
