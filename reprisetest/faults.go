package reprisetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/reprise-run/reprise/client"
)

// faults ends the client's calls where waiting is of no use, since the test would not end.
type faults struct {
	n *Node

	mu    sync.Mutex // guards the fields below
	over  bool       // the test has ended
	first error
	calls map[int]context.CancelCauseFunc
	next  int
}

// note fails the test, and the calls that wait and are to come.
func (f *faults) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.n.t.Errorf("reprisetest: %v", err)
	if f.first == nil {
		f.first = err
	}
	for _, cancel := range f.calls {
		cancel(err)
	}
}

// say gives the test a line of the node's log.
func (f *faults) say(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.n.t.Log("node: " + line)
	}
}

// end says that the test has ended: nothing may be told to it any more.
func (f *faults) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
}

// begin returns a context for a call, which ends when a fault is noted.
func (f *faults) begin(ctx context.Context) (context.Context, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	if f.first != nil {
		cancel(f.first)
	}
	if f.calls == nil {
		f.calls = map[int]context.CancelCauseFunc{}
	}
	id := f.next
	f.next++
	f.calls[id] = cancel
	return ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.calls, id)
		cancel(nil)
	}
}

// reading is the operation of a call that asks for the status.
const reading = "read"

// firstLook is after how long a call that waits is looked after; each time that follows
// is twice as long, since simulated time costs what happens in it.
const firstLook = time.Hour

// watch notes that the instance of a call waits for code that is not bound, until ctx is
// done.
func (f *faults) watch(ctx context.Context, call *client.Call) {
	for pause := firstLook; ; pause *= 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		in, err := f.n.client.Status(ctx, call.Instance)
		if err != nil {
			continue
		}
		for _, what := range in.Waiting {
			if strings.Contains(what, "a node that binds") || strings.Contains(what, "no node binds it") {
				f.note(fmt.Errorf("%q waits for %s; bind it, or a fake, to the registry of the test", call.Instance, what))
				return
			}
		}
	}
}

// errPatience is the cause of a call that has waited for too long.
var errPatience = errors.New("out of patience")

// around is an interceptor: the call ends with the first fault, or when patience does.
func (f *faults) around(next client.Handler) client.Handler {
	return func(ctx context.Context, call *client.Call) error {
		during, end := f.begin(ctx)
		defer end()
		during, cancel := context.WithTimeoutCause(during, f.n.options.patience, errPatience)
		defer cancel()
		if call.Instance != "" && call.Operation != reading {
			go f.watch(during, call)
		}
		err := next(during, call)
		if err == nil || ctx.Err() != nil || during.Err() == nil {
			return err
		}
		cause := context.Cause(during)
		if errors.Is(cause, errPatience) {
			cause = fmt.Errorf("%s %q has not been answered for %v; %s", call.Operation, call.Instance, f.n.options.patience, f.waits(ctx, call))
			f.n.t.Errorf("reprisetest: %v", cause)
		}
		if errors.Is(err, cause) {
			return err // it says it already
		}
		return fmt.Errorf("%w: %w", cause, err)
	}
}

// waits says what the instance of a call waits for.
func (f *faults) waits(ctx context.Context, call *client.Call) string {
	if call.Operation == reading {
		return "the node does not answer"
	}
	in, err := f.n.client.Status(ctx, call.Instance)
	switch {
	case err != nil:
		return err.Error()
	case len(in.Waiting) == 0:
		return fmt.Sprintf("it is %v", in.Status)
	}
	return "it waits for " + strings.Join(in.Waiting, ", ")
}

// handler gives the test what the node logs, from warnings on, and learns from it that an
// instance is parked.
type handler struct {
	n     *Node
	attrs []slog.Attr
}

// Enabled implements [slog.Handler].
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{n: h.n, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements [slog.Handler]. A node's logger has no groups.
func (h *handler) WithGroup(string) slog.Handler { return h }

// parkedMessage is what a node logs when it parks an instance.
const parkedMessage = "an instance is parked"

// Handle implements [slog.Handler].
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	values := map[string]string{}
	add := func(a slog.Attr) bool {
		values[a.Key] = a.Value.String()
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if r.Message == parkedMessage {
		h.n.faults.note(fmt.Errorf("instance %q of %q is parked: %s", values["instance"], values["name"], values["reason"]))
		return nil
	}
	h.n.faults.say(text.String())
	return nil
}
