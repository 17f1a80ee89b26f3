package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// fakeLog is a log of one replica: an entry is committed when it is applied.
type fakeLog struct {
	db       *pebble.DB
	epoch    uint64
	advanced chan struct{}
	note     func(format string, args ...any) // nil: nobody listens

	mu       sync.Mutex
	entries  [][]byte // proposed and not applied
	proposed uint64
	applied  uint64
	held     bool // entries wait for commit
	over     bool
	confirms error
	// left is how many more entries are applied before the log crashes; negative:
	// no end.
	left int
}

func openState(t testing.TB) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)         {}
func (quiet) Errorf(string, ...any)        {}
func (quiet) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

func newFakeLog(db *pebble.DB, epoch uint64) *fakeLog {
	return &fakeLog{db: db, epoch: epoch, advanced: make(chan struct{}, 1), left: -1}
}

func (l *fakeLog) Epoch() uint64             { return l.epoch }
func (l *fakeLog) Advanced() <-chan struct{} { return l.advanced }
func (l *fakeLog) State() pebble.Reader      { return l.db }

func (l *fakeLog) Confirm(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirms
}

func (l *fakeLog) Applied() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

func (l *fakeLog) Propose(batch []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, errors.New("the reign is over")
	}
	l.proposed++
	l.entries = append(l.entries, batch)
	if l.note != nil {
		l.note("entry %d.%d%s", l.epoch, l.proposed, describeBatch(batch))
	}
	if !l.held {
		l.applyLocked(len(l.entries))
	}
	return l.proposed, nil
}

// commit applies up to n entries.
func (l *fakeLog) commit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applyLocked(min(n, len(l.entries)))
}

func (l *fakeLog) hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = held
	if !held {
		l.applyLocked(len(l.entries))
	}
}

func (l *fakeLog) applyLocked(n int) {
	for ; n > 0 && l.left != 0; n-- {
		l.left--
		b := l.db.NewBatch()
		if err := b.SetRepr(l.entries[0]); err != nil {
			panic(err)
		}
		if err := l.db.Apply(b, pebble.NoSync); err != nil {
			panic(err)
		}
		l.entries = l.entries[1:]
		l.applied++
		if l.note != nil {
			l.note("applied %d.%d", l.epoch, l.applied)
		}
	}
	if l.left == 0 {
		l.held = true
	}
	select {
	case l.advanced <- struct{}{}:
	default:
	}
}

// crashed reports whether the planned crash has come.
func (l *fakeLog) crashed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left == 0
}

// describeBatch tells the writes of an entry, one a line.
func describeBatch(repr []byte) string {
	var b pebble.Batch
	if err := b.SetRepr(repr); err != nil {
		return err.Error()
	}
	var out strings.Builder
	for r := b.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return out.String()
		}
		if partition.Table(key[4]) == partition.TableMeta {
			continue
		}
		switch kind {
		case pebble.InternalKeyKindSet:
			fmt.Fprintf(&out, "\n  + %s", indent(partition.Describe(key, value)))
		case pebble.InternalKeyKindDelete:
			fmt.Fprintf(&out, "\n  - %s", partition.Describe(key, nil))
		default:
			fmt.Fprintf(&out, "\n  - %q to %q", key, value)
		}
	}
}

func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n  ") }

// fakeExecutor runs programs: functions from all events of an execution to the
// decisions that are missing.
type fakeExecutor struct {
	mu       sync.Mutex
	bound    map[string]bool             // by name
	versions map[string][]string         // of names that are bound in versions only
	older    bool                        // they run older instances, too
	lacking  map[history.InstanceID]bool // whose code calls a local activity that is not there
	broken   map[string]bool             // whose code does not fit
	failing  map[string]bool             // whose episodes fail for a passing reason
	slow     map[string]chan struct{}
	episodes int
	note     func(format string, args ...any)
}

func newFakeExecutor() *fakeExecutor {
	return &fakeExecutor{
		bound: map[string]bool{}, versions: map[string][]string{}, lacking: map[history.InstanceID]bool{}, broken: map[string]bool{}, failing: map[string]bool{},
		slow: map[string]chan struct{}{}, note: func(string, ...any) {},
	}
}

// unbound says why a name and version have no code; nil where they have. Call with mu
// held. Versions compare as text here: how they do is a matter of the registry.
func (x *fakeExecutor) unbound(name, version string) error {
	bound, versioned := x.versions[name]
	fits := func(v string) bool { return v == version || x.older && version < v }
	switch {
	case x.bound["-"+name]:
		return ErrUnbound
	case versioned && !slices.ContainsFunc(bound, fits):
		return fmt.Errorf("%w %q in version %q", ErrUnbound, name, version)
	}
	return nil
}

func (x *fakeExecutor) Forget(ExecutionKey)        {}
func (x *fakeExecutor) ForgetReign(uint32, uint64) {}

func (x *fakeExecutor) Episode(ctx context.Context, req EpisodeRequest) (history.Episode, error) {
	name, _, _ := strings.Cut(req.Name, ":")
	x.mu.Lock()
	x.episodes++
	lacking := x.lacking[req.Key.Instance]
	unbound, broken, failing, gate := x.unbound(name, req.Version), x.broken[name], x.failing[name], x.slow[name]
	x.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return history.Episode{}, ctx.Err()
		}
	}
	switch {
	case unbound != nil:
		return history.Episode{}, unbound
	case lacking:
		return history.Episode{}, ErrNoLocal
	case failing:
		return history.Episode{}, errors.New("a passing error")
	case broken:
		return history.Episode{}, &history.NondeterminismError{EventIndex: 3, Recorded: "activity a", Decided: "activity b", Site: "code.go:12"}
	}
	past, err := req.History(ctx)
	if err != nil {
		return history.Episode{}, err
	}
	arrived, unrecorded := refuse(req)
	run, err := replay(req.Name, append(past, arrived...))
	run.Unrecorded = append(unrecorded, run.Unrecorded...)
	if err != nil {
		return history.Episode{}, err
	}
	x.note("episode %d of %s: %d past, %d arrived", req.Episodes, req.Key.Instance, len(past), len(req.Arrived))
	return run, nil
}

// fakeCourier keeps the runs of letters that it was given.
type fakeCourier struct {
	mu   sync.Mutex
	runs []carried
	note func(format string, args ...any)
}

type carried struct {
	run  LaneRun
	done func(LaneAnswer, error)
}

func (f *fakeCourier) Carry(run LaneRun, done func(LaneAnswer, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = append(f.runs, carried{run, done})
	f.note("carry to %d%s", run.To, describeRun(run))
}

// next takes the run that was given first.
func (f *fakeCourier) next() carried {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.runs) == 0 {
		return carried{done: func(LaneAnswer, error) { f.note("nothing is on its way") }}
	}
	r := f.runs[0]
	f.runs = f.runs[1:]
	return r
}

func describeRun(run LaneRun) string {
	var out strings.Builder
	for _, ref := range run.Asked {
		fmt.Fprintf(&out, "\n  has %s room?", ref.ID)
	}
	for i, data := range run.Letters {
		l, err := partition.DecodeLetter(data)
		if err != nil {
			return err.Error()
		}
		if i == 3 && len(run.Letters) > 5 {
			fmt.Fprintf(&out, "\n  … and %d more", len(run.Letters)-i)
			break
		}
		fmt.Fprintf(&out, "\n  %d: %s to %s %.8s: %s", run.First+uint64(i), l.From, l.To, l.ToExecution, history.Describe(l.Event))
	}
	return out.String()
}

// fakeDispatcher keeps the attempts that it was given.
type fakeDispatcher struct {
	mu       sync.Mutex
	room     int // negative: no limit
	unbound  map[string]bool
	given    []ActivityTask
	canceled []AttemptID
	survey   []AttemptID
	hold     chan struct{} // the survey waits for it
	note     func(format string, args ...any)
}

func newFakeDispatcher() *fakeDispatcher {
	return &fakeDispatcher{room: -1, unbound: map[string]bool{}, note: func(string, ...any) {}}
}

func (d *fakeDispatcher) Dispatch(task ActivityTask) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room == 0 || d.unbound[task.Name] {
		d.note("no room for %s", describeAttempt(task.Attempt))
		return false
	}
	d.room--
	d.given = append(d.given, task)
	text := fmt.Sprintf("dispatch %s %s number=%d key=%s input=%s", describeAttempt(task.Attempt), task.Name, task.Number, task.Key, short(task.Input))
	if task.Progress != nil {
		text += " progress=" + short(task.Progress)
	}
	d.note("%s", text)
	return true
}

func (d *fakeDispatcher) Room(name string, o *history.TaskOptions) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case o != nil && len(o.Nodes) > 0:
		return 0, fmt.Errorf("%w: no node has the labels %s", ErrNoNode, history.DescribeLabels(o.Nodes))
	case d.unbound[name]:
		return 0, ErrNoNode
	case d.room == 0:
		return 0, errors.New("full")
	case d.room < 0:
		return 1 << 20, nil
	}
	return d.room, nil
}

func (d *fakeDispatcher) Cancel(id AttemptID, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.canceled = append(d.canceled, id)
	if reason != "" {
		reason = ": " + reason
	}
	d.note("cancel %s%s", describeAttempt(id), reason)
}

func (d *fakeDispatcher) Survey(ctx context.Context, _ uint32, _ uint64) []AttemptID {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.survey
}

func describeAttempt(id AttemptID) string {
	return fmt.Sprintf("%s#%d fence=%d.%d", id.Instance, id.TaskID, id.Fence.Epoch, id.Fence.N)
}

func short(p history.Payload) string {
	if len(p) > 40 {
		return fmt.Sprintf("%d bytes", len(p))
	}
	return string(p)
}

// Query answers how many events were recorded, and the number of the episodes; the
// program may be blocked as for an episode.
func (x *fakeExecutor) Query(ctx context.Context, q Inquiry) (QueryAnswer, error) {
	name, _, _ := strings.Cut(q.Execution.Name, ":")
	x.mu.Lock()
	unbound, gate := x.unbound(name, q.Execution.Version), x.slow[name]
	x.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return QueryAnswer{}, ctx.Err()
		}
	}
	past, err := q.Execution.History(ctx)
	switch {
	case unbound != nil:
		return QueryAnswer{}, unbound
	case err != nil:
		return QueryAnswer{}, err
	case q.Query == "refuse":
		return QueryAnswer{Failure: &history.Failure{Message: "no"}}, nil
	case q.Query != "events":
		return QueryAnswer{}, fmt.Errorf("%w: query %q", ErrNoHandler, q.Query)
	}
	x.note("query of %s: %d episodes", q.Execution.Key.Instance, q.Execution.Episodes)
	return QueryAnswer{Result: history.Payload(fmt.Sprintf("%d events", len(past)))}, nil
}
