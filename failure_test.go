package reprise_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// Whatever user code says when it fails, what is recorded of it has a bound.
func TestFailuresAreBounded(t *testing.T) {
	long := strings.Repeat("x", 20<<20)
	fails := func(how string) error {
		switch how {
		case "panics":
			panic(long)
		case "deep":
			err := errors.New("the bottom")
			for range 100 { // each level of a recursion gets an error from elsewhere and wraps it
				err = reprise.ErrorOf(reprise.JSON, reprise.FailureOf(reprise.JSON, fmt.Errorf("level: %w", err)))
			}
			return err
		}
		return fmt.Errorf("with an error: %w", errors.New(long))
	}
	verbose := reprise.NewActivity[string, int]("verbose")
	loud := reprise.NewOrchestration[string, int]("loud")
	horn := reprise.NewEntity[int]("horn")
	blow := reprise.NewOperation[string, int](horn, "blow")
	r := reprise.NewRegistry()
	reprise.Bind(r, verbose, func(_ context.Context, how string) (int, error) { return 0, fails(how) })
	reprise.Bind(r, loud, func(_ *reprise.Orchestration, how string) (int, error) { return 0, fails(how) })
	reprise.Bind(r, blow, func(_ *reprise.EntityContext, _ *int, how string) (int, error) { return 0, fails(how) })

	for _, how := range []string{"panics", "fails", "deep"} {
		input := fmt.Sprintf("%q", how)
		got := map[string]*history.Failure{"orchestration": (&run{registry: r}).start(t, "loud", input).Failure}
		if how != "panics" { // that of an activity is its executor's
			fn, _ := r.Activity("verbose")
			_, got["activity"] = fn(t.Context(), history.Payload(input))
		}
		code, _ := r.Entity("horn")
		entity := code.Begin(reprise.EntityInfo{Entity: "@horn@1"}, nil)
		entity.Do("blow", history.Trace{}, history.Payload(input))
		got["operation"] = entity.Batch().Results[0].Failure
		for what, f := range got {
			depth := 0
			for in := f; in != nil; depth++ {
				if len(in.Inner) == 0 {
					break
				}
				in = in.Inner[0]
			}
			if n := f.Bytes(); n > history.MaxFailureTextBytes || depth > history.MaxFailureDepth {
				t.Errorf("%s %s: a failure of %d bytes, %d deep", what, how, n, depth)
			}
		}
	}
}

// A recursion that wraps its errors records what it wraps at every level.
func TestFailureOfARecursion(t *testing.T) {
	bottom := reprise.NewError("test.bottom", "the bottom")
	var err error = bottom
	recorded := 0
	for level := range 1000 {
		f := reprise.FailureOf(reprise.JSON, fmt.Errorf("level %d of the recursion: %w", level, err))
		recorded += f.Bytes()
		err = reprise.ErrorOf(reprise.JSON, f)
	}
	if recorded > 64<<20 {
		t.Errorf("1,000 levels record failures of %d bytes", recorded)
	}
	if text := err.Error(); !strings.HasPrefix(text, "level 999 of the recursion: level 998") || !errors.Is(err, bottom) {
		t.Errorf("the outermost error is %.80q, of code %q", text, reprise.FailureOf(reprise.JSON, err).Code)
	}
}

// The leader takes for open what a saga does.
func TestWhatLeavesOpenIsTheSame(t *testing.T) {
	for _, err := range []error{
		reprise.ErrTimeout, reprise.ErrCanceled, reprise.ErrTerminated, reprise.ErrOutcomeUnknown, reprise.ErrTooLarge, reprise.ErrFlooded,
		&reprise.PanicError{Value: "boom"}, &reprise.CanceledError{Reason: "enough"},
	} {
		if f := reprise.FailureOf(reprise.JSON, fmt.Errorf("call: %w", err)); !f.LeavesOpen() {
			t.Errorf("%v does not leave open whether it has acted: %+v", err, f)
		}
	}
	if f := reprise.FailureOf(reprise.JSON, errors.New("no")); f.LeavesOpen() {
		t.Errorf("%+v leaves open whether it has acted", f)
	}
}
