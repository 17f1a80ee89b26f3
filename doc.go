// Package reprise is what people write durable orchestrations with.
//
// An orchestrator is an ordinary Go function whose progress survives crashes:
// what it decides (run this activity, wait so long) is recorded in a history, and
// to go on after a crash the function is run again from the top against that
// history. So an orchestrator must decide the same when it is run again: time,
// randomness, IDs and logging come from its *[Orchestration], and everything that
// touches the world is an activity. docs/semantics.md has the rules.
//
// Contracts are typed values, which name what is durable and never the function:
//
//	var (
//		Charge = reprise.NewActivity[Order, Receipt]("card.charge", reprise.Retry(5, time.Second))
//		Fulfil = reprise.NewOrchestration[Order, Receipt]("order.fulfil")
//	)
//
//	func fulfil(o *reprise.Orchestration, in Order) (Receipt, error) {
//		return Charge.Call(o, in)
//	}
//
// Whoever runs the code binds functions to them:
//
//	registry := reprise.NewRegistry()
//	reprise.Bind(registry, Fulfil, fulfil)
//	reprise.Bind(registry, Charge, cards.Charge) // func(context.Context, Order) (Receipt, error)
//
// An orchestrator starts others with their descriptors, as clients do:
//
//	receipt, err := Fulfil.Call(o, order)
//
// Package embedded runs a node in a program of yours, package client calls it, and package
// reprisetest tests orchestrations in simulated time.
//
// *[Orchestration] is not a context.Context on purpose: handing it to a database
// or an HTTP client inside an orchestrator does not compile.
package reprise
