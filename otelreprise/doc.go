// Package otelreprise makes spans of OpenTelemetry of what clients and nodes do. It
// stands apart so that only who wants OpenTelemetry has it in his program.
//
//	provider := sdktrace.NewTracerProvider(
//		sdktrace.WithIDGenerator(otelreprise.IDs{}),
//		sdktrace.WithBatcher(exporter))
//	tracing := otelreprise.New(provider)
//
//	c, err := client.Dial(addresses, client.WithInterceptor(tracing.Client))
//	registry := reprise.NewRegistry(reprise.WithActivityInterceptor(tracing.Activity))
//	node, err := cluster.Start(ctx, cluster.Config{…, Spans: tracing.Record}, registry)
//
// A trace of an orchestration looks so:
//
//	start order.fulfil                     the client's call
//	└ orchestration order.fulfil           from its start to its end
//	  ├ activity card.charge               from its scheduling to its end, with all attempts
//	  │ ├ attempt card.charge              one attempt, on the node that ran it
//	  │ └ attempt card.charge
//	  ├ operation reserve of stock         of an entity, from the begin of its run to its record
//	  │ └ operation add of log             what that operation signaled
//	  └ orchestration order.ship           a sub-orchestration
//
// Nothing of this depends on who runs the code: an orchestrator is run again on
// replay and on other nodes, and its span is not. Spans of orchestrations, of
// activities and of operations are told by the leader that committed their end, once;
// their span IDs follow from the history, those of operations from the run that is
// recorded, so that what belongs to them can name them while they go on, wherever it
// runs. That is what [IDs] is for. If a leader dies in the moment
// after it committed an end, that span is missing; none appears twice.
//
// A trace begins with a start, or a signal to an entity, that carries a trace parent. What
// comes of one without has no spans.
package otelreprise
