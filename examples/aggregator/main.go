package main

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Climate struct {
		Count    int
		Sum      int // of tenths of degrees
		Min, Max int
	}
	Report struct {
		City string
		Climate
	}
)

var (
	City    = reprise.NewEntity[Climate]("aggregator.city")
	Measure = reprise.NewOperation[int, reprise.None](City, "measure")
	Publish = reprise.NewOrchestration[Report, reprise.None]("aggregator.publish")
	Post    = reprise.NewActivity[Report, reprise.None]("aggregator.post", reprise.Retry(5, time.Second))
)

// every is how many readings lie between two reports.
const every = 100

func measure(e *reprise.EntityContext, c *Climate, tenths int) (none reprise.None, err error) {
	if tenths < -1000 || tenths > 1000 {
		return none, fmt.Errorf("%d tenths of a degree cannot be", tenths) // and it does not count
	}
	if c.Count == 0 {
		c.Min, c.Max = tenths, tenths
	}
	c.Count, c.Sum, c.Min, c.Max = c.Count+1, c.Sum+tenths, min(c.Min, tenths), max(c.Max, tenths)
	if c.Count%every == 0 {
		_, err = Publish.StartDetached(e, Report{e.Key(), *c}) // leaves with this very state, or not at all
	}
	return none, err
}

func publish(o *reprise.Orchestration, r Report) (reprise.None, error) { return Post.Call(o, r) }

type board struct{ world outside.World }

func (b board) post(ctx context.Context, r Report) (reprise.None, error) {
	_, err := b.world.Post(ctx, fmt.Sprintf("/%s/%d", r.City, r.Count), r.Sum)
	return reprise.None{}, err
}

func bind(r *reprise.Registry, world outside.World) {
	reprise.Bind(r, Measure, measure)
	reprise.Bind(r, Publish, publish)
	reprise.Bind(r, Post, board{world}.post)
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		for i := range 2 * every {
			for _, city := range []string{"oslo", "rome"} {
				if err := client.Signal(ctx, c, City.Key(city), Measure, len(city)*i%300); err != nil {
					return err
				}
			}
		}
		for city, err := range client.Entities(ctx, c, City) {
			if err != nil {
				return err
			}
			s := city.State
			fmt.Printf("%s: %d readings, %.1f to %.1f, mean %.1f\n", city.Ref.Key(), s.Count, float64(s.Min)/10, float64(s.Max)/10, float64(s.Sum)/float64(10*s.Count))
		}
		return nil
	})
}
