package reprisetest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/reprisetest"
)

type order struct {
	ID    string
	Cents int
}

type account struct{ Cents int }

var (
	fulfil      = reprise.NewOrchestration[order, string]("fulfil")
	charge      = reprise.NewActivity[order, string]("charge", reprise.Retry(3, time.Minute))
	letter      = reprise.NewActivity[string, reprise.None]("letter")
	approved    = reprise.NewEvent[bool]("approved")
	stage       = reprise.NewQuery[reprise.None, string]("stage")
	accounts    = reprise.NewEntity[account]("account")
	deposit     = reprise.NewOperation[int, int](accounts, "deposit")
	errDeclined = reprise.NewError("declined", "nobody approved")
)

func fulfilOrder(o *reprise.Orchestration, in order) (receipt string, err error) {
	at := "charging"
	stage.Handle(o, func(reprise.None) (string, error) { return at, nil })
	if in.Cents > 1000 {
		at = "waiting"
		ok, err := reprise.WithTimeout(o, 72*time.Hour, approved.Receive(o))
		if errors.Is(err, reprise.ErrTimeout) || err == nil && !ok {
			return "", errDeclined
		}
		if err != nil {
			return "", err
		}
	}
	if receipt, err = charge.Call(o, in); err != nil {
		return "", err
	}
	_, err = deposit.Call(o, accounts.Key("shop"), in.Cents)
	return receipt, err
}

// shop binds the code, and a card company that fails twice.
func shop() (r *reprise.Registry, charged *atomic.Int64) {
	r, charged = reprise.NewRegistry(), new(atomic.Int64)
	reprise.Bind(r, fulfil, fulfilOrder)
	reprise.Bind(r, charge, func(ctx context.Context, in order) (string, error) {
		if charged.Add(1) < 3 {
			return "", errors.New("the card company does not answer")
		}
		return fmt.Sprintf("receipt of %s, attempt %d", in.ID, reprise.Attempt(ctx).Number), nil
	})
	reprise.Bind(r, deposit, func(_ *reprise.EntityContext, a *account, cents int) (int, error) {
		a.Cents += cents
		return a.Cents, nil
	})
	return r, charged
}

func TestNobodyApproves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, charged := shop()
		c := reprisetest.Start(t, r).Client()
		began := time.Now()
		if _, err := client.Execute(t.Context(), c, fulfil, order{"1", 5000}); !errors.Is(err, errDeclined) {
			t.Errorf("got %v, want %v", err, errDeclined)
		}
		if passed := time.Since(began).Round(time.Hour); passed != 72*time.Hour || charged.Load() != 0 {
			t.Errorf("after %v, %d times charged", passed, charged.Load())
		}
	})
}

func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, charged := shop()
		n := reprisetest.Start(t, r)
		c := n.Client()
		h, err := client.Run(t.Context(), c, fulfil, order{"1", 5000}, client.WithID("o"))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		done := make(chan error)
		go func() { // a call that is under way in each crash
			var err error
			got, err = h.Result(t.Context())
			done <- err
		}()
		for range 3 {
			time.Sleep(time.Hour)
			n.Crash()
			if at, err := client.Query(t.Context(), c, "o", stage, reprise.None{}); at != "waiting" {
				t.Errorf("stage %q, %v", at, err)
			}
		}
		if err := client.Raise(t.Context(), c, "o", approved, true); err != nil {
			t.Fatal(err)
		}
		if err := <-done; got != "receipt of 1, attempt 3" || charged.Load() != 3 {
			t.Errorf("%q, %v; %d times charged", got, err, charged.Load())
		}
		if a, ok, err := client.ReadEntity(t.Context(), c, accounts.Key("shop")); a.Cents != 5000 || !ok {
			t.Errorf("%+v, %v, %v", a, ok, err)
		}
	})
}

// The longest wait there is outlasts what a history can tell, and is replayed all the same.
func TestWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reprise.NewRegistry()
		reprise.Bind(r, fulfil, func(o *reprise.Orchestration, in order) (string, error) {
			ok, err := reprise.WithTimeout(o, math.MaxInt64, approved.Receive(o))
			return fmt.Sprint(ok), errors.Join(err, o.Sleep(time.Minute))
		})
		c := reprisetest.Start(t, r).Client()
		h, err := client.Run(t.Context(), c, fulfil, order{}, client.WithID("o"))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Raise(t.Context(), c, "o", approved, true); err != nil {
			t.Fatal(err)
		}
		if got, err := h.Result(t.Context()); got != "true" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// verdict is a test that is to fail: what it is told is kept.
type verdict struct {
	testing.TB
	failures []string
}

func (v *verdict) Errorf(format string, args ...any) {
	v.failures = append(v.failures, fmt.Sprintf(format, args...))
}

func (v *verdict) Log(...any) {}

// What would make a test wait for ever, or pass by luck, fails it with a text that says why.
func TestMistakes(t *testing.T) {
	var episodes int
	for name, mistake := range map[string]struct {
		code func(o *reprise.Orchestration, in order) (string, error)
		want []string
	}{
		"decides by something else on replay": {func(o *reprise.Orchestration, in order) (string, error) {
			episodes++
			o.Sleep(time.Duration(episodes) * time.Minute)
			o.Sleep(time.Minute)
			return "", nil
		}, []string{`of "fulfil" is parked`, "node_test.go:"}},
		"an activity without code": {func(o *reprise.Orchestration, in order) (string, error) {
			_, err := letter.Call(o, in.ID)
			return "", err
		}, []string{`activity "letter"`, "no node binds it", "bind it, or a fake"}},
		"an orchestration without code": {func(o *reprise.Orchestration, in order) (string, error) {
			return reprise.NewOrchestration[order, string]("elsewhere").Call(o, in)
		}, []string{`"elsewhere"`}},
		"an event that nobody raises": {func(o *reprise.Orchestration, in order) (string, error) {
			_, err := approved.Await(o)
			return "", err
		}, []string{"has not been answered for 30h", `it waits for event "approved"`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, v := reprise.NewRegistry(), &verdict{TB: t}
				reprise.Bind(r, fulfil, mistake.code)
				c := reprisetest.Start(v, r, reprisetest.Patience(30*time.Hour)).Client()
				h, err := client.Run(t.Context(), c, fulfil, order{ID: "1"}, client.WithID("wrong"))
				if err == nil {
					_, err = h.Result(t.Context())
				}
				if err == nil || len(v.failures) != 1 {
					t.Fatalf("the call returned %v, the test heard %q", err, v.failures)
				}
				for _, want := range mistake.want {
					if !strings.Contains(err.Error(), want) || !strings.Contains(v.failures[0], want) {
						t.Errorf("%q is missing in the error\n%v\nor in the failure\n%s", want, err, v.failures[0])
					}
					if strings.Count(err.Error(), want) > strings.Count(v.failures[0], want) {
						t.Errorf("%q is told again in the error\n%v", want, err)
					}
				}
			})
		})
	}
}

// Outside of a bubble time is real, and the rest is the same.
func TestRealTime(t *testing.T) {
	r, _ := shop()
	c := reprisetest.Start(t, r, reprisetest.Keep(), reprisetest.Labels(map[string]string{"gpu": "true"})).Client()
	h, err := client.Run(t.Context(), c, fulfil, order{"1", 5000}, client.WithID("o"))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Raise(t.Context(), c, "o", approved, false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Result(t.Context()); !errors.Is(err, errDeclined) {
		t.Errorf("got %v, want %v", err, errDeclined)
	}
	in, err := c.Status(t.Context(), "o")
	if err != nil || in.Status != history.Failed {
		t.Errorf("%+v, %v", in, err)
	}
}
