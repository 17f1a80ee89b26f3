package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

// Cleanup is what one round hands to the next.
type Cleanup struct {
	Every time.Duration
	Round int
}

var (
	Clean = reprise.NewOrchestration[Cleanup, Cleanup]("eternal.clean")
	Sweep = reprise.NewActivity[int, reprise.None]("eternal.sweep", reprise.Retry(5, time.Second))
	Stop  = reprise.NewEvent[reprise.None]("stop")
)

func clean(o *reprise.Orchestration, s Cleanup) (Cleanup, error) {
	s.Round++
	if _, err := Sweep.Call(o, s.Round); err != nil {
		o.Log().Warn("a round failed", "round", s.Round, "error", err) // the next one may not
	}
	_, err := reprise.WithTimeout(o, s.Every, Stop.Receive(o))
	if errors.Is(err, reprise.ErrTimeout) {
		return s, Clean.ContinueAsNew(o, s)
	}
	return s, err
}

type store struct{ world outside.World }

// sweep removes what has expired. To do it again would do no harm, but the key
// makes it once.
func (s store) sweep(ctx context.Context, round int) error {
	_, err := s.world.Post(ctx, fmt.Sprintf("/sweeps/%d", round), "all that has expired")
	return err
}

func bind(r *reprise.Registry, world outside.World) {
	reprise.Bind(r, Clean, clean)
	reprise.Bind(r, Sweep, reprise.NoOutput(store{world}.sweep))
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		h, err := client.Run(ctx, c, Clean, Cleanup{Every: 300 * time.Millisecond}, client.WithID("cleanup"))
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // for years
		in, err := h.Status(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s is %v, with %d events in its history\n", in.ID, in.Status, in.HistoryEvents)
		if err := client.Raise(ctx, c, h.ID(), Stop, reprise.None{}); err != nil {
			return err
		}
		last, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("stopped after %d rounds\n", last.Round)
		return nil
	})
}
