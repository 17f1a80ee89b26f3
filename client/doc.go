// Package client calls a Reprise cluster from any Go program.
//
// [Dial] names some nodes; the others, and which of them leads what, are learned.
// Typed calls use the descriptors of the authoring package:
//
//	c, err := client.Dial([]string{"127.0.0.1:4001"})
//	h, err := client.Run(ctx, c, shop.Fulfil, order, client.WithID("order-42"))
//	rec, err := h.Result(ctx) // the output, or the orchestrator's error: errors.Is and errors.As work
//
// Untyped calls ([Client.Start], [Client.Wait] …) go by name and raw payloads.
//
// Calls are repeated over all nodes, with growing and jittered pauses, until they
// succeed, are refused, the context is done, or the cluster has not answered for
// the patience that was given ([WithPatience]). That is safe: every call that
// changes something carries a request ID and the time when it was first sent, the
// same on each repetition, and the cluster remembers its answer.
package client
