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
//	raise approved                         a client's call, a producer
//	└ event approved                       from its arrival until the orchestration takes it, a
//	                                       consumer that is linked to the orchestration
//
// Nothing of this depends on who runs the code: an orchestrator is run again on
// replay and on other nodes, and its span is not. Spans of orchestrations, of
// activities, of operations and of events are told by the leader that committed their end,
// once; their span IDs follow from the history, those of operations from the run that is
// recorded, so that what belongs to them can name them while they go on, wherever it
// runs. That is what [IDs] is for. If a leader dies in the moment
// after it committed an end, that span is missing; none appears twice.
//
// A trace begins with a start, a signal to an entity, or an event, that carries one. What
// comes of one without has no spans. The header tracestate goes along.
package otelreprise
