package leader

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

func (s *story) signal(t *testing.T, id, operation string, opt func(string) string) {
	req := SignalRequest{Entity: ref(id), Operation: operation, Identity: s.identity(t, opt)}
	if n := number0(opt("size")); n > 0 {
		req.Input = make(history.Payload, n)
	}
	req.Trace = traceOf(opt)
	if after := opt("after"); after != "" {
		req.ScheduledTime = time.Now().Add(time.Duration(s.skew.Load())).Add(duration(t, after))
	}
	go func() { s.heard("signalled %s: %v", id, s.leader.Signal(context.Background(), req)) }()
}

func describeEntity(e Entity) string {
	text := fmt.Sprintf("%s exists=%t state=%s backlog=%d", e.Ref.ID, e.Exists, short(e.State), e.Backlog)
	if e.LockedBy != "" {
		text += " locked-by=" + string(e.LockedBy)
	}
	return text
}

func (s *story) readEntity(id string) string {
	e, err := s.leader.Entity(context.Background(), EntityStatusRequest{ref(id), true})
	if err != nil {
		return err.Error() + "\n"
	}
	return describeEntity(e) + "\n"
}

// list reads all pages.
func (s *story) list(opt func(string) string, transient bool) string {
	req := EntitiesRequest{Hub: history.DefaultTaskHub, Prefix: history.InstanceID(opt("prefix")), Limit: number0(opt("limit")), State: true, Transient: transient}
	var out strings.Builder
	for {
		page, err := s.leader.Entities(context.Background(), req)
		if err != nil {
			return err.Error() + "\n"
		}
		for _, e := range page.Entities {
			fmt.Fprintln(&out, describeEntity(e))
		}
		if req.After = page.Next; req.After == "" {
			return out.String() + "the end\n"
		}
		fmt.Fprintln(&out, "next page")
	}
}

func (s *story) entityCode(cmd, name string) {
	x := s.entities
	x.mu.Lock()
	defer x.mu.Unlock()
	switch cmd {
	case "bind":
		delete(x.bound, "-"+name)
	case "unbind":
		x.bound["-"+name] = true
	case "fail":
		x.failing[name] = true
	case "mend":
		delete(x.failing, name)
	case "block":
		x.slow[name] = make(chan struct{})
	case "unblock":
		close(x.slow[name])
		delete(x.slow, name)
	}
}

// entityLetter reads a letter of entities: to an entity "call ID OPERATION CALLER TASK
// [SECTION]", "signal ID OPERATION", "lock ID HOLDER TASK", "unlock ID HOLDER TASK";
// from one "result ID TASK ENTITY RESULT", "granted ID TASK ENTITY".
func entityLetter(t *testing.T, l *partition.Letter, words []string) {
	if words[0] != "result" && words[0] != "granted" {
		l.ToExecution = ""
	}
	far := func(id, task string) *history.ParentInstance {
		l.From, l.FromExecution = history.InstanceID(id), history.ExecutionID("x-"+id)
		return &history.ParentInstance{Name: "far", Instance: l.From, Execution: l.FromExecution, TaskID: int32(number(task))}
	}
	switch words[0] {
	case "call":
		call := &history.EntityOperationCalled{Operation: words[2], Caller: far(words[3], words[4]), Section: history.NoID}
		if len(words) > 5 {
			call.Section = int32(number(words[5]))
		}
		l.Event.Body = call
	case "signal":
		l.From = "far"
		l.Event.Body = &history.EntityOperationSignaled{Operation: words[2]}
	case "lock":
		l.Event.Body = &history.EntityLockRequested{Holder: far(words[2], words[3])}
	case "unlock":
		holder := far(words[2], words[3])
		l.Event.Body = &history.EntityUnlockSent{TaskID: holder.TaskID, Holder: holder}
	case "result":
		l.From = history.InstanceID(words[3])
		l.Event.Body = &history.EntityOperationCompleted{TaskID: int32(number(words[2])), Result: history.Payload(words[4])}
	case "granted":
		l.From = history.InstanceID(words[3])
		l.Event.Body = &history.EntityLockGranted{TaskID: int32(number(words[2]))}
	default:
		t.Fatalf("unknown letter %q", words)
	}
}
