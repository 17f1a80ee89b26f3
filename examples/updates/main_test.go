package main

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// Many bid at once, and the node dies that has the auction. Every bid counts once and
// is told the price that it made; one that is refused does not count. Then the node
// dies that charged the winner, before it could tell: whoever sells hears of it all the
// same, and the winner is charged once.
func TestEveryBidCountsOnceAlthoughNodesDie(t *testing.T) {
	var bank outside.Service
	world := exampletest.Serve(t, &bank)
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)
	h, err := client.Run(ctx, c.Client, Auction, 0, client.WithID("lot"))
	if err != nil {
		t.Fatal(err)
	}

	const bidders, after = 8, 10
	var bids [bidders][]Bid
	var wg sync.WaitGroup
	going, dead := make(chan struct{}, bidders), make(chan struct{})
	for b := range bidders {
		wg.Go(func() {
			for left := after; left > 0 && ctx.Err() == nil; { // from the kill on
				bid, err := client.Update(ctx, c.Client, h.ID(), Higher, Raise{fmt.Sprint(b), step})
				if err != nil {
					t.Error(err)
				}
				bids[b] = append(bids[b], bid)
				select {
				case <-dead:
					left--
				default:
				}
				if len(bids[b]) == after {
					going <- struct{}{}
				}
			}
		})
	}
	select {
	case <-going:
	case <-ctx.Done():
		t.Fatal("nobody could bid")
	}
	killed := c.KillLeader(h.ID())
	close(dead)
	wg.Wait()
	c.Restart(killed)
	if _, err := client.Update(ctx, c.Client, h.ID(), Higher, Raise{"cid", 1}); !errors.Is(err, ErrTooLittle) || !errors.Is(err, client.ErrRefused) {
		t.Errorf("a step of 1: %v", err)
	}
	told := map[int]string{} // who made a price
	for b := range bids {
		last := 0
		for _, bid := range bids[b] {
			if told[bid.Cents] != "" || bid.Cents <= last || bid.Cents%step != 0 || bid.Who != fmt.Sprint(b) {
				t.Errorf("%d was told %+v after %d; told before: %q", b, bid, last, told[bid.Cents])
			}
			told[bid.Cents], last = bid.Who, bid.Cents
		}
	}

	charge := world.Hold("/charges")
	price := len(told) * step // of as many different prices
	want := Bid{told[price], price}
	wg.Go(func() {
		sold, err := client.Update(ctx, c.Client, h.ID(), Sell, reprise.None{})
		exampletest.Equal(t, sold, want, err)
	})
	by := charge.By()
	if _, err := client.Update(ctx, c.Client, h.ID(), Higher, Raise{"cid", step}); !errors.Is(err, ErrOver) {
		t.Errorf("a bid while the winner pays: %v", err)
	}
	c.Kill(by)
	wg.Wait()
	result, err := h.Result(ctx)
	exampletest.Equal(t, result, want, err)
	exampletest.Equal(t, bank.Effects(), []string{fmt.Sprintf(`/charges {"Who":%q,"Cents":%d}`, want.Who, want.Cents)}, nil)
	if n := world.Asked("/charges"); n != 2 {
		t.Errorf("the bank was asked %d times; want 2, or the kill came too late to show anything", n)
	}
	if _, err := client.Update(ctx, c.Client, h.ID(), Higher, Raise{"cid", step}); !errors.Is(err, client.ErrNotTaken) {
		t.Errorf("a bid after the end: %v", err)
	}
}
