package leader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// TestStories plays the stories in testdata. A story is a list of commands to a
// leader and its surroundings, each followed by the trace of what came of it.
// Commands:
//
//	start ID NAME [version=] [input=] [request=] [age=] [reuse=] [after=] [execution=] [trace=]
//	execute: start and wait for the end, with what start has
//	terminate ID [reason=] [recurse] [request=] [age=]
//	raise ID NAME [data=] [request=] [age=]
//	signal ID OPERATION [after=] [request=] [age=] [trace=], entity ID, entities [prefix=] [limit=]
//	query ID NAME [for=]
//	update ID NAME [data=] request= [age=] [for=]
//	complete ID#TASK [result= | failure= [type=] [code=] [final]] [fence=]
//	pending ID#TASK [ran=DURATION] [fence=], token ID#TASK [result= | failure= [final]] [request=] [fence=]
//	heartbeat ID#TASK [data=] [fence=], beat ID#TASK [data=] [fence=] (by token)
//	wait ID [started], status ID [payloads], history ID
//	watch ID [answers=N]: one answer after the other, from what was seen last
//	advance DURATION, clock DURATION (the wall clock jumps)
//	hold, release, commit N: of the log
//	bind NAME[@VERSION], unbind NAME[@VERSION], match older|strict, lack ID (and no more), break NAME, mend NAME, block NAME, unblock NAME
//	room N, lost ID#TASK, refused ID#TASK
//	changed [code]: the bindings, or the code behind them too
//	crash [losing what is not applied], lead [survey=given] [slow-survey], surveyed [given]
//	far ID: the instance is of partition 8
//	deliver first=N [from=P]: letters of the input, one a line:
//	    "start ID NAME [PARENT TASK [DEPTH]]", "completed ID TASK CHILD RESULT",
//	    "failed ID TASK CHILD MESSAGE", "terminate ID [recurse]", "event ID NAME DATA",
//	    and those of entities, see entityLetter
//	ask ID…: another partition wants to know whether these entities have room
//	carried [received=N] [crowded=ID waiting=N] | failed: what became of the first run
//	    given to the courier
//	state [TABLE], check, stats
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			s := newStory(t)
			defer s.close()
			datadriven.RunTest(t, path, s.play)
		})
	})
}

type story struct {
	t        *testing.T
	db       *pebble.DB
	log      *fakeLog
	executor *fakeExecutor
	entities *fakeEntities
	nodes    *fakeDispatcher
	courier  *fakeCourier
	far      map[history.Slot]bool
	leader   *Leader
	stop     context.CancelFunc
	ended    chan struct{}
	epoch    uint64
	begin    time.Time
	skew     atomic.Int64 // of the wall clock, in nanoseconds
	limits   Limits
	maxEntry int  // bytes; 0: any
	short    bool // entries are not told
	// oversized are the instances that ended reigns, for the next.
	oversized []*OversizedError
	seen      map[string]Seen

	mu      sync.Mutex
	trace   []string
	ran     []string // episodes: they run beside the loop
	answers []string // to callers, who run beside each other
}

// storyInFlight lets an entry leave while another is on its way, so that the
// stories show what rests upon entries that are not applied.
const storyInFlight = 2

func newStory(t *testing.T) *story {
	s := &story{t: t, db: openState(t), executor: newFakeExecutor(), entities: newFakeEntities(), nodes: newFakeDispatcher(), courier: &fakeCourier{}, far: map[history.Slot]bool{}, seen: map[string]Seen{}, begin: time.Now(), limits: Limits{Episodes: 1, InFlight: storyInFlight}}
	s.executor.note, s.nodes.note, s.courier.note, s.entities.note = s.note, s.note, s.note, s.note
	return s
}

func (s *story) close() {
	if s.leader != nil {
		s.crash()
	}
	for _, gate := range s.executor.slow {
		close(gate)
	}
	for _, gate := range s.entities.slow {
		close(gate)
	}
	synctest.Wait()
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *story) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "episode ") || strings.HasPrefix(text, "query of ") {
		s.ran = append(s.ran, text)
		return
	}
	s.trace = append(s.trace, text)
}

// heard notes what a caller was answered.
func (s *story) heard(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, fmt.Sprintf(format, args...))
}

func (s *story) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	sort.Strings(s.ran)
	sort.Strings(s.answers)
	lines := slices.Concat(s.ran, s.trace, s.answers)
	s.ran, s.trace, s.answers = nil, nil, nil
	if len(lines) == 0 {
		return "ok\n"
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s *story) lead() {
	s.epoch++
	s.log = newFakeLog(s.db, s.epoch)
	if !s.short {
		s.log.note = s.note
	}
	s.leader = New(Config{
		Partition: 7, Log: s.log, Executor: s.executor, Entities: s.entities, Dispatcher: s.nodes, Courier: s.courier,
		PartitionOf: func(slot history.Slot) uint32 {
			if s.far[slot] {
				return 8
			}
			return 7
		},
		Clock: func() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }, Limits: s.limits,
		Spans: s.span, MaxEntryBytes: s.maxEntry, Oversized: s.oversized,
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.ended = cancel, make(chan struct{})
	go func() {
		defer close(s.ended)
		if err := s.leader.Run(ctx); !errors.Is(err, context.Canceled) {
			s.note("the leader ended: %v", err)
			s.oversized = Oversized(s.oversized, err) // read once ended is closed
		}
	}()
}

func (s *story) crash() {
	s.log.mu.Lock()
	s.log.over = true
	s.log.mu.Unlock()
	s.stop()
	<-s.ended
	synctest.Wait()
	s.leader = nil
}

func ref(id string) InstanceRef {
	return InstanceRef{history.DefaultTaskHub, history.InstanceID(id)}
}

// newestAttempt returns the newest attempt of "ID#TASK", or the one with a fence.
func (s *story) newestAttempt(name, fence string) AttemptID {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	for i := len(s.nodes.given) - 1; i >= 0; i-- {
		id := s.nodes.given[i].Attempt
		if fmt.Sprintf("%s#%d", id.Instance, id.TaskID) != name {
			continue
		}
		if fence == "" || fence == fmt.Sprintf("%d.%d", id.Fence.Epoch, id.Fence.N) {
			return id
		}
	}
	s.t.Fatalf("no attempt %s %s was given out", name, fence)
	return AttemptID{}
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *story) play(t *testing.T, d *datadriven.TestData) string {
	arg := func(i int) string {
		if len(d.CmdArgs) <= i {
			d.Fatalf(t, "argument %d is missing", i+1)
		}
		return d.CmdArgs[i].Key
	}
	opt := func(name string) string {
		for _, a := range d.CmdArgs {
			if a.Key == name && len(a.Vals) == 1 {
				return a.Vals[0]
			}
		}
		return ""
	}
	switch d.Cmd {
	case "limits":
		s.limits = Limits{Timers: number0(opt("timers")), Tasks: number0(opt("tasks")), Instances: number0(opt("instances")), Runnable: number0(opt("runnable")), Episodes: max(number0(opt("episodes")), 1), Events: number0(opt("events")), EventBytes: number0(opt("event-bytes")), Flood: number0(opt("flood")), FloodBytes: number0(opt("flood-bytes")), Letters: number0(opt("letters")), Starts: number0(opt("starts")), Watchers: number0(opt("watchers")), InFlight: storyInFlight}
		s.maxEntry = number0(opt("max-entry"))
	case "brief":
		s.short = true
	case "lead":
		s.nodes.survey, s.nodes.hold = nil, make(chan struct{})
		if opt("survey") == "given" {
			for _, task := range s.nodes.given {
				s.nodes.survey = append(s.nodes.survey, task.Attempt)
			}
		} else if name := opt("survey"); name != "" {
			s.nodes.survey = []AttemptID{s.newestAttempt(name, opt("fence"))}
		}
		s.lead()
		if !d.HasArg("slow-survey") {
			synctest.Wait() // what a new leader does by itself is told before what the nodes' answers let it do
			close(s.nodes.hold)
		}
	case "surveyed":
		if d.HasArg("given") {
			for _, task := range s.nodes.given {
				s.nodes.survey = append(s.nodes.survey, task.Attempt)
			}
		}
		close(s.nodes.hold)
	case "crash":
		s.crash()
	case "start":
		s.start(t, arg(0), arg(1), opt)
	case "execute":
		s.execute(t, arg(0), arg(1), opt)
	case "terminate":
		req := TerminateRequest{Instance: ref(arg(0)), Reason: history.Payload(opt("reason")), Recurse: d.HasArg("recurse"), Identity: s.identity(t, opt)}
		go func() { s.heard("terminated %s: %v", req.Instance.ID, s.leader.Terminate(context.Background(), req)) }()
	case "cancel":
		req := CancelRequest{Instance: ref(arg(0)), Reason: opt("reason"), Identity: s.identity(t, opt)}
		go func() { s.heard("cancel of %s: %v", req.Instance.ID, s.leader.Cancel(context.Background(), req)) }()
	case "raise":
		req := RaiseRequest{Instance: ref(arg(0)), Name: arg(1), Data: history.Payload(opt("data")), Identity: s.identity(t, opt)}
		req.Trace = traceOf(opt)
		go func() { s.heard("raised for %s: %v", req.Instance.ID, s.leader.Raise(context.Background(), req)) }()
	case "update":
		req := UpdateRequest{Instance: ref(arg(0)), Name: arg(1), Input: history.Payload(opt("data")), Identity: s.identity(t, opt)}
		if n := number0(opt("size")); n > 0 {
			req.Input = make(history.Payload, n)
		}
		ctx := context.Background()
		if limit := opt("for"); limit != "" {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, duration(t, limit))
			_ = cancel
		}
		go func() {
			reply, err := s.leader.Update(ctx, req)
			text := short(reply.Result)
			if reply.Failure != nil {
				text = fmt.Sprintf("refused=%t failure: %s", reply.Refused, partition.Brief(reply.Failure))
			}
			s.heard("update %s of %s: %s %v", req.Identity.ID, req.Instance.ID, text, err)
		}()
	case "signal":
		s.signal(t, arg(0), arg(1), opt)
	case "entity":
		return s.readEntity(arg(0))
	case "entities":
		return s.list(opt, d.HasArg("transient"))
	case "query":
		req := QueryRequest{Instance: ref(arg(0)), Name: arg(1)}
		ctx := context.Background()
		if limit := opt("for"); limit != "" {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, duration(t, limit))
			_ = cancel
		}
		go func() {
			a, err := s.leader.Query(ctx, req)
			if a.Failure != nil {
				err = errors.New(a.Failure.Message)
			}
			s.heard("query %s of %s: %s %v", req.Name, req.Instance.ID, short(a.Result), err)
		}()
	case "complete":
		r := ActivityResult{Attempt: s.newestAttempt(arg(0), opt("fence")), Node: "n1", Result: history.Payload(opt("result"))}
		if f := opt("failure"); f != "" {
			r.Result = nil
			r.Failure = &history.Failure{Type: cmp.Or(opt("type"), "error"), Message: f, Code: opt("code"), NonRetriable: d.HasArg("final")}
		}
		if n := number0(opt("size")); n > 0 {
			r.Result = make(history.Payload, n)
		}
		s.leader.Complete(r, func(err error) { s.heard("result of %s recorded: %v", describeAttempt(r.Attempt), err) })
	case "pending", "token", "heartbeat", "beat":
		s.outside(t, d.Cmd, arg(0), d.HasArg("final"), opt)
	case "refused":
		s.leader.AttemptsRefused([]AttemptID{s.newestAttempt(arg(0), opt("fence"))})
	case "lost":
		s.leader.AttemptsLost([]AttemptID{s.newestAttempt(arg(0), opt("fence"))})
	case "wait":
		req := WaitRequest{Instance: ref(arg(0)), Ended: !d.HasArg("started"), Payloads: true}
		ctx := context.Background()
		if limit := opt("for"); limit != "" {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, duration(t, limit))
			_ = cancel
		}
		go func() {
			in, err := s.leader.Wait(ctx, req)
			s.heard("waited for %s: %s %s %v", req.Instance.ID, in.Status, short(in.Output), err)
		}()
	case "watch":
		s.watch(arg(0), number0(opt("answers")))
	case "status":
		return s.status(arg(0), d.HasArg("payloads"))
	case "history":
		page, err := s.leader.History(t.Context(), HistoryRequest{Instance: ref(arg(0))})
		if err != nil {
			return err.Error() + "\n"
		}
		var out strings.Builder
		for _, e := range page.Events {
			fmt.Fprintln(&out, history.Describe(e))
		}
		return out.String()
	case "advance":
		time.Sleep(duration(t, arg(0)))
	case "clock":
		s.skew.Add(int64(duration(t, arg(0))))
	case "hold":
		s.log.hold(true)
	case "release":
		s.log.hold(false)
	case "commit":
		s.log.commit(number(arg(0)))
	case "unconfirmed":
		s.log.confirms = ErrNotLeading
	case "confirmed":
		s.log.confirms = nil
	case "bind", "unbind", "match", "lack", "break", "mend", "fail", "block", "unblock":
		s.code(d.Cmd, arg(0))
	case "changed":
		if d.HasArg("code") {
			s.leader.CodeChanged()
		} else {
			s.leader.BindingsChanged()
		}
	case "room":
		s.nodes.mu.Lock()
		s.nodes.room = number(arg(0))
		s.nodes.mu.Unlock()
		s.leader.CapacityFreed()
	case "far":
		s.far[history.SlotOf(history.DefaultTaskHub, history.InstanceID(arg(0)))] = true
	case "deliver":
		from := uint32(8)
		if p := opt("from"); p != "" {
			from = uint32(number(p))
		}
		run := LaneRun{From: from, To: 7, First: uint64(number(opt("first")))}
		for _, line := range strings.Split(d.Input, "\n") {
			run.Letters = append(run.Letters, s.letter(t, line).Encode())
		}
		s.leader.Deliver(run, func(a LaneAnswer, err error) {
			s.note("delivered from %d: received=%d%s %v", from, a.Received, describeCrowds(a.Crowded), err)
		})
	case "ask":
		run := LaneRun{From: 8, To: 7}
		for i := range d.CmdArgs {
			run.Asked = append(run.Asked, ref(arg(i)))
		}
		s.leader.Deliver(run, func(a LaneAnswer, err error) { s.note("answered:%s %v", describeCrowds(a.Crowded), err) })
	case "carried":
		r := s.courier.next()
		if d.HasArg("failed") {
			r.done(LaneAnswer{}, errors.New("out of reach"))
		} else {
			answer := LaneAnswer{Received: uint64(number0(opt("received")))}
			if id := opt("crowded"); id != "" {
				answer.Crowded = []Crowd{{ref(id), int64(number0(opt("waiting"))), int64(number0(opt("bytes")))}}
			}
			r.done(answer, nil)
		}
	case "state":
		return s.state(t, d)
	case "check":
		return s.check(t)
	case "stats":
		return fmt.Sprintf("%+v\n", s.leader.Stats())
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	return s.take()
}

// letter reads a letter of another partition.
func (s *story) letter(t *testing.T, line string) *partition.Letter {
	words := strings.Fields(line)
	l := &partition.Letter{Hub: history.DefaultTaskHub, To: history.InstanceID(words[1]), ToExecution: history.ExecutionID("x-" + words[1])}
	l.Event.ID = history.NoID
	switch words[0] {
	case "start":
		started := &history.ExecutionStarted{Name: words[2], ExecutionID: l.ToExecution, Input: history.Payload("in " + words[1])}
		if len(words) > 3 {
			l.From, l.FromExecution = history.InstanceID(words[3]), history.ExecutionID("x-"+words[3])
			started.Parent = &history.ParentInstance{Name: "far", Instance: l.From, Execution: l.FromExecution, TaskID: int32(number(words[4]))}
			if len(words) > 5 {
				started.Parent.Depth = int32(number(words[5]))
			}
		}
		l.Event.Body = started
	case "completed", "failed":
		id := int32(number(words[2]))
		l.From, l.FromExecution = history.InstanceID(words[3]), history.ChildExecution(l.ToExecution, id)
		l.Event.Body = &history.SubOrchestrationInstanceCompleted{TaskID: id, Result: history.Payload(words[4])}
		if words[0] == "failed" {
			l.Event.Body = &history.SubOrchestrationInstanceFailed{TaskID: id, Failure: &history.Failure{Message: words[4]}}
		}
	case "event":
		l.ToExecution = ""
		l.Event.Body = &history.EventRaised{Name: words[2], Input: history.Payload(words[3])}
	case "terminate":
		l.Event.Body = &history.ExecutionTerminated{Reason: history.Payload("far away"), Recurse: len(words) > 2}
	case "cancel":
		l.Event.Body = &history.ExecutionCancelRequested{Reason: words[2]}
	default:
		entityLetter(t, l, words)
	}
	return l
}

func number0(arg string) int {
	if arg == "" {
		return 0
	}
	return number(arg)
}

func (s *story) identity(t *testing.T, opt func(string) string) RequestIdentity {
	id := RequestIdentity{ID: opt("request")}
	if id.ID != "" {
		id.Sent = s.begin
		if age := opt("age"); age != "" {
			id.Sent = time.Now().Add(time.Duration(s.skew.Load())).Add(-duration(t, age))
		}
	}
	return id
}

func (s *story) code(cmd, name string) {
	if entity, ok := strings.CutPrefix(name, "@"); ok {
		s.entityCode(cmd, entity)
		return
	}
	x := s.executor
	x.mu.Lock()
	defer x.mu.Unlock()
	name, version, versioned := strings.Cut(name, "@")
	switch cmd {
	case "lack":
		x.lacking[history.InstanceID(name)] = !x.lacking[history.InstanceID(name)]
	case "match":
		x.older = name == "older"
	case "bind", "unbind":
		if versioned {
			x.versions[name] = slices.DeleteFunc(x.versions[name], func(v string) bool { return v == version })
			if cmd == "bind" {
				x.versions[name] = append(x.versions[name], version)
			}
			return
		}
		x.bound["-"+name] = cmd == "unbind"
	case "break":
		x.broken[name] = true
	case "fail":
		x.failing[name] = true
	case "mend":
		delete(x.broken, name)
		delete(x.failing, name)
	case "block":
		x.slow[name] = make(chan struct{})
	case "unblock":
		close(x.slow[name])
		delete(x.slow, name)
	}
}

func (s *story) state(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	end := append([]byte{0, 0, 0, 8}, 0)
	err := applied{s.db}.Scan([]byte{0, 0, 0, 7}, end, func(key, value []byte) bool {
		if table := partition.Table(key[4]); table != partition.TableMeta && (len(d.CmdArgs) == 0 || d.CmdArgs[0].Key == table.String()) {
			fmt.Fprintln(&out, partition.Describe(key, value))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func (s *story) check(t *testing.T) string {
	violations, err := partition.Check(applied{s.db}, 7)
	if err != nil {
		t.Fatal(err)
	}
	if len(violations) == 0 {
		return "fine\n"
	}
	var out strings.Builder
	for _, v := range violations {
		fmt.Fprintln(&out, v)
	}
	return out.String()
}

func describeCrowds(all []Crowd) (text string) {
	for _, c := range all {
		text += fmt.Sprintf(" crowded=%s(%d", c.Entity.ID, c.Waiting)
		if c.Bytes > 0 {
			text += fmt.Sprintf(", %d bytes", c.Bytes)
		}
		text += ")"
	}
	return text
}
