// Package reprisetest runs orchestrations in unit tests: all that a node does, in the
// process of the test, on a disk in memory and without a network.
//
//	func TestNobodyApproves(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) { // of the standard library: 72 hours pass at once
//			r := reprise.NewRegistry()
//			reprise.Bind(r, shop.Fulfil, fulfil)
//			reprise.Bind(r, shop.Charge, func(context.Context, shop.Order) (shop.Receipt, error) {
//				t.Error("the card was charged")
//				return shop.Receipt{}, nil
//			})
//			c := reprisetest.Start(t, r).Client()
//
//			_, err := client.Execute(t.Context(), c, shop.Fulfil, order)
//			if !errors.Is(err, shop.ErrNotApproved) {
//				t.Errorf("got %v", err)
//			}
//		})
//	}
//
// What a test calls is the client that a service uses, and what answers is the same code
// that a cluster runs. So everything works: timers, events, retries, children, entities,
// queries and updates. A fake is a function that is bound to the descriptor, so the
// compiler checks it.
//
// # Time
//
// In a bubble of testing/synctest time is simulated. It stands still while anything runs
// and jumps to the next timer when nothing does. Start must then be called inside of the
// bubble. Simulated time is not quite free: a day costs about a second of a processor. Outside of
// a bubble time is real.
//
// What an activity does on a real network is no wait that the bubble knows: time stands
// still meanwhile, and a time limit on it does not pass. Bind a fake.
//
// # What a test finds that production would find later
//
//   - Every episode is replayed from its history, as after a crash. An orchestrator that
//     reads the wall clock, a random number or a map decides otherwise then, and the test
//     fails with the line of the code. See [Keep] for how to switch that off. In a bubble
//     the clock may stand still between an episode and its replay, so that a reading of
//     the wall clock is found for certain only by a test outside of one.
//   - An instance that is parked (its code does not fit its history, or nobody binds it)
//     fails the test, and calls of the client return an error that says why.
//   - A call that waits for longer than [Patience] fails the test and says what the
//     instance waits for: an event that nobody raises, an activity that nobody binds.
//   - [Node.Crash] is kill -9 and a new start.
package reprisetest
