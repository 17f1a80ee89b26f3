package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// entityBackend answers for the entities of the tests.
type entityBackend struct{ signaled chan leader.SignalRequest }

func (b *entityBackend) Signal(_ context.Context, r leader.SignalRequest) error {
	if r.Operation == "flood" {
		return leader.ErrFull
	}
	b.signaled <- r
	return nil
}

func (b *entityBackend) Entity(_ context.Context, r leader.EntityStatusRequest) (leader.Entity, error) {
	e := leader.Entity{Ref: r.Entity}
	switch r.Entity.ID {
	case "@counter@A":
		e.Exists, e.Modified, e.Backlog, e.LockedBy, e.State = true, time.Unix(1, 0), 2, "order-42", history.Payload(`{"N": 7}`)
	case "@counter@locked":
		e.Backlog, e.LockedBy = 1, "order-42"
	}
	return e, nil
}

func (b *entityBackend) Entities(_ context.Context, q cluster.EntitiesQuery) (cluster.EntitiesList, error) {
	var list cluster.EntitiesList
	first := 0
	if q.Token != "" {
		first = 2
	}
	for i := first; i < min(first+2, 3); i++ {
		list.Entities = append(list.Entities, leader.Entity{
			Ref: leader.InstanceRef{Hub: q.Hub, ID: q.Prefix + history.InstanceID(fmt.Sprint(i))}, Modified: time.Unix(1, 0), State: history.Payload(fmt.Sprint(i * i)),
		})
	}
	if first == 0 {
		list.Token = "more"
	}
	return list, nil
}

func TestEntityCommands(t *testing.T) {
	serve(t)
	for _, c := range []struct {
		args   string
		stdin  string
		code   int
		stdout string // a part of it
		stderr string // likewise
	}{
		{args: "signal @counter@A add", code: 0},
		{args: "signal @counter@A add --data 5 --at 90s", code: 0},
		{args: "signal @counter@A add --at 2100-01-01T00:00:00Z --data -", stdin: "7", code: 0},
		{args: "signal @counter@A flood", code: 5, stderr: "too many"},
		{args: "signal @counter@A", code: 2, stderr: "want the ID of an entity (@NAME@KEY) and the name of an operation"},
		{args: "signal counter add", code: 2, stderr: `is not of the form "@name@key"`},
		{args: "signal @counter@A add --at tomorrow", code: 2, stderr: `--at "tomorrow" is neither a time like`},
		{args: "signal @counter@A add --at -1s", code: 2, stderr: "is in the past"},
		{args: "signal @counter@A add --data {", code: 2, stderr: "--data is not JSON"},
		{args: "entity @Counter@A", code: 0, stdout: `{"N": 7}`},
		{args: "entity @counter@A", code: 0, stdout: "order-42"},
		{args: "entity @counter@none", code: 3, stderr: "has no state: no such instance"},
		{args: "entity @counter@locked", code: 3, stderr: `has no state (is locked by "order-42", operations that wait: 1)`},
		{args: "entity", code: 2, stderr: "want the ID of one entity"},
		{args: "entities", code: 0, stdout: "ID"},
		{args: "entities --prefix @counter@", code: 0, stdout: "@counter@2"},
		{args: "entities @counter@", code: 2, stderr: "--prefix narrows the list"},
	} {
		t.Run(c.args[:min(len(c.args), 40)], func(t *testing.T) {
			got := try(t, c.stdin, strings.Fields(c.args)...)
			if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) || (got.stderr != "") != (c.code != 0) {
				t.Errorf("exit code %d, want %d\nstdout: %swant in it: %s\nstderr: %swant in it: %s", got.code, c.code, got.stdout, c.stdout, got.stderr, c.stderr)
			}
		})
	}
}

func TestSignaledWithWhatWasGiven(t *testing.T) {
	b := serve(t)
	began := time.Now()
	if got := try(t, "", "signal", "@Counter@Key", "Add", "--data", "5", "--at", "1h", "--task-hub", "h"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	r := <-b.signaled
	if r.Entity != (leader.InstanceRef{Hub: "h", ID: "@counter@Key"}) || r.Operation != "Add" || string(r.Input) != "5" || r.Identity.ID == "" ||
		r.ScheduledTime.Before(began.Add(time.Hour)) || r.ScheduledTime.After(time.Now().Add(time.Hour)) {
		t.Errorf("signaled %+v", r)
	}
	if try(t, "", "signal", "@counter@Key", "add"); (<-b.signaled).Input != nil {
		t.Error("no input is not absent")
	}
}

func TestJSONFormsOfEntities(t *testing.T) {
	serve(t)
	var e entityForm
	if err := json.Unmarshal([]byte(try(t, "", "entity", "@counter@A", "-o", "json").stdout), &e); err != nil {
		t.Fatal(err)
	}
	if e.EntityID != "@counter@A" || string(e.State) != `{"N":7}` && string(e.State) != `{
    "N": 7
  }` || e.LockedBy != "order-42" || e.Backlog != 2 || e.LastModified.Unix() != 1 {
		t.Errorf("entity %+v, state %s", e, e.State)
	}
	lines := strings.Split(strings.TrimSpace(try(t, "", "entities", "--prefix", "@e@", "-o", "json").stdout), "\n")
	if len(lines) != 3 {
		t.Fatalf("entities %q", lines)
	}
	if err := json.Unmarshal([]byte(lines[2]), &e); err != nil || e.EntityID != "@e@2" || string(e.State) != "4" {
		t.Errorf("the last one %+v, %v", e, err)
	}
}
