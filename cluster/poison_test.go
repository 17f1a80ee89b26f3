package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// Poison: code and input that harm only the instance that they belong to.
var (
	panics    = reprise.NewOrchestration[reprise.None, int]("poison.panics")
	explode   = reprise.NewActivity[reprise.None, int]("poison.explode")
	explodes  = reprise.NewOrchestration[reprise.None, int]("poison.explodes")
	loops     = reprise.NewOrchestration[reprise.None, int]("poison.loops")
	leak      = reprise.NewActivity[reprise.None, int]("poison.leak")
	leaks     = reprise.NewOrchestration[reprise.None, int]("poison.leaks")
	giant     = reprise.NewOrchestration[string, string]("poison.giant")
	swallow   = reprise.NewActivity[string, string]("poison.swallow")
	long      = reprise.NewOrchestration[int, int]("poison.long")
	flood     = reprise.NewOrchestration[int, int]("poison.flood")
	deaf      = reprise.NewOrchestration[reprise.None, int]("poison.deaf")
	pair      = reprise.NewOrchestration[string, int]("poison.pair")
	noise     = reprise.NewEvent[int]("noise")
	dig       = reprise.NewOrchestration[int, int]("poison.dig")
	fickle    = reprise.NewOrchestration[reprise.None, int]("poison.fickle")
	tomorrow  = reprise.NewActivity[int, int]("poison.tomorrow")
	drum      = reprise.NewEntity[int]("drum")
	beat      = reprise.NewOperation[int, int](drum, "beat")
	blob      = reprise.NewEntity[[]byte]("blob")
	swell     = reprise.NewOperation[int, int](blob, "swell")
	swells    = reprise.NewOrchestration[int, int]("poison.swells")
	tooMuch   = history.MaxPayloadBytes + 1
	poisonous = Config{Limits: leader.Limits{Events: 50, Flood: 500}}
)

// poison is the state of poisonous code: how often it ran, and whether what never ends is
// to end all the same, since the bubble has to.
type poison struct {
	*testWorld
	over    chan struct{}
	changed bool // the fickle code
}

func (p *poison) ran(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[what]++
}

func (p *poison) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs[what]
}

// crash ends a node whose code does not end with it, as a real process's would.
func (p *poison) crash(name string) {
	n := p.nodes[name]
	delete(p.nodes, name)
	p.network.Crash(peer.NodeID(name))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Stop(ctx); err == nil {
		p.t.Errorf("%s runs no endless loop", name)
	}
}

func (p *poison) bind(r *reprise.Registry, _ string) {
	reprise.Bind(r, panics, func(o *reprise.Orchestration, _ reprise.None) (int, error) {
		if _, err := work.Call(o, 1); err != nil {
			return 0, err
		}
		panic("as if by accident")
	})
	reprise.Bind(r, explode, func(context.Context, reprise.None) (int, error) {
		return len(strings.Fields("")[3]), nil
	})
	reprise.Bind(r, explodes, func(o *reprise.Orchestration, in reprise.None) (int, error) { return explode.Call(o, in) })
	// It never gives the word back, like an endless loop. A loop that spins would keep the
	// time of the bubble from passing; BenchmarkPoison has those.
	reprise.Bind(r, loops, func(o *reprise.Orchestration, _ reprise.None) (int, error) {
		p.ran("loop of " + string(o.InstanceID()))
		<-p.over
		return 0, nil
	})
	reprise.Bind(r, leak, func(ctx context.Context, _ reprise.None) (int, error) {
		go func() { // it outlives the activity, and still uses what belongs to it
			for {
				_ = reprise.Heartbeat(ctx, nil) // says that nobody wants it
				select {
				case <-time.After(time.Second):
				case <-p.over:
					return
				}
			}
		}()
		return 1, nil
	})
	reprise.Bind(r, leaks, func(o *reprise.Orchestration, in reprise.None) (int, error) { return leak.Call(o, in) })
	reprise.Bind(r, swallow, func(_ context.Context, s string) (string, error) { return s + s, nil })
	reprise.Bind(r, giant, func(o *reprise.Orchestration, what string) (string, error) {
		switch what {
		case "input":
			return swallow.Call(o, strings.Repeat("x", tooMuch))
		case "result":
			return swallow.Call(o, strings.Repeat("x", tooMuch/2+1))
		}
		return strings.Repeat("x", tooMuch), nil
	})
	reprise.Bind(r, long, func(o *reprise.Orchestration, n int) (int, error) {
		for range n {
			if _, err := work.Call(o, 0, reprise.Local()); err != nil {
				return 0, err
			}
		}
		return o.HistoryLength(), nil
	})
	reprise.Bind(r, deaf, func(o *reprise.Orchestration, _ reprise.None) (int, error) { return 0, o.Sleep(24 * time.Hour) })
	reprise.Bind(r, flood, func(o *reprise.Orchestration, n int) (int, error) {
		for range 100 {
			if err := noise.Send(o, "deaf", n); err != nil {
				return 0, err
			}
		}
		if n == 0 {
			return 0, nil
		}
		return 0, flood.ContinueAsNew(o, n-1)
	})
	reprise.Bind(r, pair, func(o *reprise.Orchestration, other string) (int, error) {
		for n := 0; ; n++ {
			if _, err := reprise.WithTimeout(o, time.Minute, noise.Receive(o)); err != nil {
				return n, err // the other one has ended, and nothing comes
			}
			for range 2 {
				if err := noise.Send(o, history.InstanceID(other), n); err != nil {
					return n, err
				}
			}
		}
	})
	reprise.Bind(r, dig, func(o *reprise.Orchestration, n int) (int, error) { return dig.Call(o, n+1) })
	reprise.Bind(r, tomorrow, func(_ context.Context, n int) (int, error) { return n, nil })
	reprise.Bind(r, fickle, func(o *reprise.Orchestration, _ reprise.None) (int, error) {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if changed {
			return tomorrow.Call(o, 1)
		}
		return 0, o.Sleep(10 * time.Minute)
	})
	reprise.Bind(r, beat, func(e *reprise.EntityContext, beats *int, most int) (int, error) {
		if *beats++; *beats > most {
			return *beats, nil
		}
		for range 2 {
			if err := beat.Signal(e, drum.Key(e.Key()), most); err != nil {
				return 0, err
			}
		}
		return *beats, nil
	})
	reprise.Bind(r, swell, func(_ *reprise.EntityContext, b *[]byte, n int) (int, error) {
		*b = append(*b, make([]byte, n)...)
		return len(*b), nil
	})
	reprise.Bind(r, swells, func(o *reprise.Orchestration, n int) (int, error) {
		size, err := swell.Call(o, blob.Key("b"), 1000)
		if err != nil {
			return 0, err
		}
		if _, err := swell.Call(o, blob.Key("b"), n); err == nil {
			return 0, fmt.Errorf("a state of %d bytes was taken", n)
		}
		again, err := swell.Call(o, blob.Key("b"), 0)
		if err == nil && again != size {
			err = fmt.Errorf("the state has %d bytes, %d before the operation that failed", again, size)
		}
		return again, err
	})
}

// leading returns the node that leads an instance's partition.
func (w *testWorld) leading(id string) string {
	w.t.Helper()
	for name, n := range w.nodes {
		p, _ := n.partitionOf(leader.InstanceRef{Hub: history.DefaultTaskHub, ID: history.InstanceID(id)})
		if n.leads(p) {
			return name
		}
	}
	w.t.Fatalf("nobody leads the partition of %s", id)
	return ""
}

// beside returns an ID, of a name and a number, in a partition that a node leads.
func (w *testWorld) beside(name, node string) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("%s-%d", name, i); w.leading(id) == node {
			return id
		}
	}
}

func (w *testWorld) launch(by *Node, req leader.StartRequest) leader.InstanceRef {
	w.t.Helper()
	if _, err := by.StartInstance(w.within(time.Minute), req); err != nil {
		w.t.Fatalf("start %s: %v", req.Instance.ID, err)
	}
	return req.Instance
}

// status reads an instance.
func (w *testWorld) status(by *Node, ref leader.InstanceRef) leader.Instance {
	w.t.Helper()
	in, err := by.Status(w.within(time.Minute), leader.StatusRequest{Instance: ref, Payloads: true})
	if err != nil {
		w.t.Fatalf("status of %s: %v", ref.ID, err)
	}
	return in
}

// A mixed load with every kind of poison that a program can contain: what is healthy
// ends with the right result, before, while and after a leader dies; each poison ends, or
// is parked, with a reason for people; and what does not yield is run once.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		p := &poison{testWorld: w, over: make(chan struct{})}
		defer close(p.over)
		w.bind = p.bind
		w.configure = func(c *Config) { c.Limits = poisonous.Limits }
		names := []string{"a", "b", "c"}
		for _, name := range names {
			w.start(name, 3)
		}
		w.ready()
		a := w.nodes["a"]
		w.eventually(a, "leaders are spread", spreadAsPreferred)

		// healthy starts orchestrations, and returns what waits for their results.
		healthy := func(by *Node, prefix string, n int) (check func()) {
			refs, want := []leader.InstanceRef{}, []string{}
			for i := range n {
				switch id := fmt.Sprintf("%s-%d", prefix, i); i % 4 {
				case 0:
					refs = append(refs, w.launch(by, startOf("tree", id, branch{Width: 2, Depth: 2})))
					want = append(want, "4")
				case 1:
					refs = append(refs, w.launch(by, startOf("count", id, id)))
					want = append(want, "5")
				default:
					refs = append(refs, w.launch(by, startOf("chain", id, i%7)))
					want = append(want, fmt.Sprint(i%7))
				}
			}
			return func() {
				t.Helper()
				for i, ref := range refs {
					in, err := by.Wait(w.within(10*time.Minute), leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
					if err != nil || in.Status != history.Completed || string(in.Output) != want[i] {
						t.Errorf("healthy %s: %v, output %s, want %s; %+v %v", ref.ID, in.Status, in.Output, want[i], in.Failure, err)
					}
				}
			}
		}

		// Each ends with a status, and a failure of a type whose message says why.
		type end struct {
			ref     leader.InstanceRef
			status  history.Status
			failure string
			text    string
		}
		var ends []end
		poison := func(name, id string, input any, status history.Status, failure, text string) {
			ends = append(ends, end{w.launch(a, startOf(name, id, input)), status, failure, text})
		}
		first := healthy(a, "first", 60)
		stuck := map[string]leader.InstanceRef{}
		for _, node := range names { // one a node
			stuck[node] = w.launch(a, startOf("poison.loops", w.beside("loop", node), nil))
		}
		const victim = "b"
		turncoat := w.launch(a, startOf("poison.fickle", w.beside("fickle", victim), nil))
		poison("poison.deaf", "deaf", nil, history.Failed, "flooded", "events that it has not taken")
		for i := range 3 {
			at := func(name string) string { return fmt.Sprintf("%s-%d", name, i) }
			poison("poison.panics", at("panic"), nil, history.Failed, "", "as if by accident")
			poison("poison.explodes", at("explode"), nil, history.Failed, "", "index out of range [3] with length 0")
			poison("poison.leaks", at("leak"), nil, history.Completed, "", "")
			poison("poison.giant", at("giant-output"), "output", history.Failed, "", "at most 16777216")
			poison("poison.giant", at("giant-result"), "result", history.Failed, "", "at most 16777216")
			poison("poison.giant", at("giant-input"), "input", history.Failed, "", "at most 16777216")
			poison("poison.long", at("long"), 3000, history.Completed, "", "")
			poison("poison.flood", at("flood"), 10, history.Completed, "", "")
			poison("poison.pair", at("left"), at("right"), history.Failed, "", "")
			poison("poison.pair", at("right"), at("left"), history.Failed, "", "")
			if i == 0 && !testing.Short() { // 10,000 instances, one below the other
				poison("poison.dig", at("dig"), 0, history.Failed, "too-deep", "")
			}
			poison("poison.swells", at("swell"), tooMuch, history.Completed, "", "")
			if err := a.Signal(w.within(time.Minute), leader.SignalRequest{
				Entity: leader.InstanceRef{Hub: "default", ID: drum.Key(at("drum")).ID()}, Operation: "beat", Input: history.Payload("2000"),
			}); err != nil {
				t.Fatal(err)
			}
			if err := a.Raise(w.within(time.Minute), leader.RaiseRequest{
				Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(at("left"))}, Name: "noise", Data: history.Payload("0"),
			}); err != nil {
				t.Fatal(err)
			}
		}
		second := healthy(a, "second", 60)
		first()
		second()
		for _, e := range ends {
			in, err := a.Wait(w.within(10*time.Minute), leader.WaitRequest{Instance: e.ref, Ended: true, Payloads: true})
			if err != nil {
				t.Errorf("%s: %v; %+v", e.ref.ID, err, w.status(a, e.ref))
				continue
			}
			text := ""
			if in.Failure != nil {
				text = in.Failure.Type + ": " + in.Failure.Message
			}
			if in.Status != e.status || !strings.HasPrefix(text, e.failure) || !strings.Contains(text, e.text) {
				t.Errorf("%s ended %v with %.200q; want %v with %q and %q", e.ref.ID, in.Status, text, e.status, e.failure, e.text)
			}
		}

		// What does not end says why, and what it waits for.
		time.Sleep(2 * time.Minute) // of the bubble's time
		unwell := func(by *Node) {
			t.Helper()
			for _, ref := range stuck {
				in := w.status(by, ref)
				if !strings.Contains(in.Parked, "did not yield") || p.count("loop of "+string(ref.ID)) != 1 {
					t.Errorf("%s: %s parked %q, run %d times", ref.ID, in.Status, in.Parked, p.count("loop of "+string(ref.ID)))
				}
			}
		}
		unwell(a)
		for i := range 3 {
			e, err := a.Entity(w.within(time.Minute), leader.EntityStatusRequest{Entity: leader.InstanceRef{Hub: "default", ID: drum.Key(fmt.Sprint("drum-", i)).ID()}, State: true})
			if err != nil || e.Backlog != 0 || len(e.State) < 4 {
				t.Errorf("the drum: %+v %s; %v", e, e.State, err)
			}
		}

		// Its leader dies while others work. The loop is not run again, by nobody; the
		// fickle code meets its own history.
		third := healthy(a, "third", 60)
		p.mu.Lock()
		p.changed = true
		p.mu.Unlock()
		p.crash(victim)
		w.ready()
		fourth := healthy(a, "fourth", 60)
		third()
		fourth()
		time.Sleep(10 * time.Minute) // whoever tries what is unwell again has tried it often
		unwell(a)
		in := w.status(a, turncoat)
		if want := "poison.tomorrow"; !strings.Contains(in.Parked, want) || in.Status != history.Running {
			t.Errorf("%s: %s parked %q; want a diff with %s", turncoat.ID, in.Status, in.Parked, want)
		}
		// It comes back with the code that it had, which is no reason to try again.
		w.start(victim, 3)
		w.ready()
		w.eventually(a, "leaders are spread", spreadAsPreferred)
		healthy(w.nodes[victim], "fifth", 60)()
		time.Sleep(2 * time.Minute) // as above
		unwell(w.nodes[victim])
	})
}
