package sim

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what is simulated.
type Options struct {
	Seed  uint64
	Nodes int
	// Life is how long the cluster is hurt, in simulated time.
	Life time.Duration
	// Clients is how many callers make requests.
	Clients int
	// Bugs are planted.
	Bugs Bugs
	// Logger gets what the nodes say; nil: nobody.
	Logger *slog.Logger
}

// Report is how a run went.
type Report struct {
	Options  Options
	Acked    int // starts
	Unknown  int // starts
	Listed   int // orchestrations that were sent events, all acknowledged
	Banked   int // payments and audits that were acknowledged
	Followed int // orchestrations that were watched to their end
	Anew     int // requests that were stamped anew with a partition's clock
	Reigns   int
	Stale    uint64 // entries refused at apply
	Effects  int    // of activities
	Faults   map[string]int
	Problems []string
}

// The least that must have happened for a run to prove something.
const (
	minReigns = 50
	minAcked  = 5000
	minStale  = 20
	minBanked = 500

	minFollowed = 500
)

// Void says what happened too seldom; empty if the run proves something.
func (r Report) Void() string {
	var void []string
	if r.Reigns < minReigns {
		void = append(void, fmt.Sprintf("%d reigns of %d", r.Reigns, minReigns))
	}
	if r.Acked < minAcked {
		void = append(void, fmt.Sprintf("%d acknowledged starts of %d", r.Acked, minAcked))
	}
	if r.Banked < minBanked {
		void = append(void, fmt.Sprintf("%d payments and audits of %d", r.Banked, minBanked))
	}
	if r.Followed < minFollowed {
		void = append(void, fmt.Sprintf("%d watched to their end of %d", r.Followed, minFollowed))
	}
	if r.Stale < minStale {
		void = append(void, fmt.Sprintf("%d stale rejections of %d", r.Stale, minStale))
	}
	return strings.Join(void, ", ")
}

// String tells the run in a few lines.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes hurt for %v: %d acknowledged starts, %d unknown, %d that got events, %d payments and audits, %d watched to their end, %d requests stamped anew, %d reigns, %d stale entries refused, %d effects of activities\n",
		r.Options.Seed, r.Options.Nodes, r.Options.Life, r.Acked, r.Unknown, r.Listed, r.Banked, r.Followed, r.Anew, r.Reigns, r.Stale, r.Effects)
	b.WriteString("faults:")
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, " %s %d", name, r.Faults[name])
	}
	fmt.Fprintf(&b, "\n%d problems\n", len(r.Problems))
	for i, p := range r.Problems {
		if i == 20 {
			fmt.Fprintf(&b, "… and %d more\n", len(r.Problems)-i)
			break
		}
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// Run simulates a cluster's life. It is called in a synctest bubble.
func Run(o Options) Report {
	if o.Logger == nil {
		o.Logger = quiet
	}
	book := &ledger{effects: map[string][]effect{}}
	world := newWorld(o.Seed, o.Nodes, book.registry, o.Bugs, o.Logger)
	load := newWorkload(world)
	hurt := &nemesis{World: world, done: map[string]int{}}
	report := func() Report {
		r := Report{
			Options: o, Acked: len(load.acked), Unknown: load.unknown, Listed: len(load.collected), Banked: len(load.banked), Followed: int(load.followed.Load()), Anew: int(load.anew.Load()), Reigns: world.reigns.count(),
			Stale: world.staleRejected(), Faults: hurt.done, Problems: load.wrong,
		}
		for _, e := range book.effects {
			r.Effects += len(e)
		}
		return r
	}
	if err := world.calm(); err != nil {
		load.complain("%v", err)
		return report()
	}

	ctx, cancel := context.WithTimeout(context.Background(), o.Life)
	defer cancel()
	var clients sync.WaitGroup
	for i := range o.Clients {
		clients.Go(func() { load.client(i+1, o.Seed).run(ctx) })
	}
	clients.Go(func() { load.watch(ctx, o.Seed) })
	for i := range followers {
		clients.Go(func() { load.client(500+i, o.Seed).followNewest(ctx) })
	}
	if err := hurt.run(ctx); err != nil {
		load.complain("%v", err)
	}
	clients.Wait()
	o.Logger.Info("the faults have ended", "acked", len(load.acked), "unknown", load.unknown, "reigns", world.reigns.count(), "problems", len(load.wrong))

	if err := world.calm(); err != nil {
		load.complain("%v", err)
		return report()
	}
	for _, check := range []struct {
		what string
		run  func()
	}{
		{"ends", load.checkEnds},
		{"strays", func() { load.addStrays(); load.checkEnds() }},
		{"collections", load.checkCollections},
		{"bank", load.checkBank},
		{"histories", func() { load.checkHistories(book) }},
		{"registers", load.checkRegisters},
		{"lanes", load.checkLanes},
		{"replicas", load.checkReplicas},
	} {
		if len(load.wrong) >= maxProblems {
			break
		}
		check.run()
		o.Logger.Info("checked", "what", check.what, "problems", len(load.wrong))
	}
	for _, end := range world.fatal {
		load.complain("a node ended itself: %s", end)
	}
	r := report()
	world.close()
	time.Sleep(time.Minute) // what is under way arrives nowhere

	return r
}
