package leader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// entityPrograms are the gambler's orchestrators that use entities.
var entityPrograms = []string{"operate", "withdraw", "critical", "recall", "relock", "signal"}

// entityProgram returns one of them with its argument.
func (g *gambler) entityProgram() string {
	operation := func() string {
		return fmt.Sprintf("@acct@%d/%s", g.rng.IntN(3), []string{"add:1", "take:1", "delete", "signal:@acct@0/add:1", "grow:300000"}[g.rng.IntN(5)])
	}
	text := operation()
	for range g.rng.IntN(3) {
		text += "," + operation()
	}
	name := entityPrograms[g.rng.IntN(len(entityPrograms))]
	if name == "critical" {
		if g.rng.IntN(2) == 0 {
			text += fmt.Sprintf(",@acct@%d/step", g.rng.IntN(3))
		}
		text += []string{"", ";fail", ";again", ";keep"}[g.rng.IntN(4)]
	}
	return name + ":" + text
}

// signal sends an operation to an entity. Those of the counter are counted.
func (g *gambler) signal() {
	g.n++
	req := SignalRequest{Entity: ref(fmt.Sprint("@acct@", g.rng.IntN(3))), Operation: "add:1"}
	counted := g.rng.IntN(3) == 0
	if counted {
		req.Entity = ref("@counter@all")
		req.Identity = RequestIdentity{fmt.Sprint("r", g.n), time.Now().Add(time.Duration(g.s.skew.Load()))}
	}
	switch g.rng.IntN(6) {
	case 0:
		req.ScheduledTime = time.Now().Add(time.Duration(g.s.skew.Load()) + time.Duration(g.rng.IntN(3000))*time.Millisecond)
	case 1:
		req.Input = make(history.Payload, 300_000)
	}
	l := g.s.leader
	if counted {
		g.mu.Lock()
		g.most++
		g.mu.Unlock()
	}
	go func() {
		err := l.Signal(context.Background(), req)
		g.mu.Lock()
		defer g.mu.Unlock()
		switch {
		case !counted || errors.Is(err, ErrNotLeading): // unknown
		case err != nil:
			g.most--
		default:
			g.least++
		}
	}()
}

// checkEntities is for the end: every counted operation ran once, and nobody holds or
// waits for an entity any more.
func (g *gambler) checkEntities() {
	page, err := g.s.leader.Entities(g.t.Context(), EntitiesRequest{Hub: history.DefaultTaskHub, Transient: true, State: true})
	if err != nil {
		g.t.Error(err)
	}
	counted := 0
	for _, e := range page.Entities {
		if e.LockedBy != "" || e.Backlog > 0 {
			g.t.Errorf("entity %s at rest: locked by %q, %d operations wait", e.Ref.ID, e.LockedBy, e.Backlog)
		}
		if e.Ref.ID == "@counter@all" {
			counted, _ = strconv.Atoi(string(e.State))
		}
		addr := partition.NewAddress(7, e.Ref.Hub, e.Ref.ID)
		if rec, err := partition.ReadRecord(applied{g.s.db}, addr); err != nil || rec.Entity.Scheduled > 0 {
			g.t.Errorf("entity %s at rest: %v %v", e.Ref.ID, rec, err)
		}
	}
	if counted < g.least || counted > g.most {
		g.t.Errorf("the counter is %d; %d additions were acknowledged, %d may have been made", counted, g.least, g.most)
	}
	g.t.Logf("%d of %d additions acknowledged, %d made", g.least, g.most, counted)
}
