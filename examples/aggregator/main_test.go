package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// Readings come from many sensors while the node dies that leads their city. Each counts
// once, one that cannot be does not count, and each report is published once.
func TestEveryReadingCountsOnceAlthoughANodeDies(t *testing.T) {
	var world outside.Service
	c := exampletest.Start(t, exampletest.Serve(t, &world))
	ctx := exampletest.Context(t)
	const sensors, each = 10, 2 * every / 10
	var wg sync.WaitGroup
	half := make(chan struct{}, sensors)
	for sensor := range sensors {
		wg.Go(func() {
			for i := range each {
				for _, tenths := range []int{sensor, 5000} {
					if err := client.Signal(ctx, c.Client, City.Key("oslo"), Measure, tenths); err != nil {
						t.Error(err)
					}
				}
				if i == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	<-half
	c.KillLeader(City.Key("oslo").ID())
	wg.Wait()

	want := Climate{Count: 2 * every, Sum: each * sensors * (sensors - 1) / 2, Min: 0, Max: sensors - 1}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for got := (Climate{}); got.Count < want.Count; <-ticker.C {
		var err error
		if got, _, err = client.ReadEntity(ctx, c.Client, City.Key("oslo")); err != nil {
			t.Fatal(err)
		}
		if got.Count >= want.Count {
			exampletest.Equal(t, got, want, nil)
		}
	}
	for len(world.Effects()) < 2 && ctx.Err() == nil {
		<-ticker.C
	}
	var published []string
	for _, effect := range world.Effects() {
		published = append(published, effect[:len(fmt.Sprintf("/oslo/%d", every))])
	}
	slices.Sort(published)
	exampletest.Equal(t, published, []string{"/oslo/100", "/oslo/200"}, ctx.Err())
}
