// Package server is the gRPC border of a node: TaskHubSidecarService, compatible
// on the wire with the client side of the Durable Task protocol, and
// RepriseService for what that lacks.
//
// It turns wire messages into the requests of partition/leader and back, and
// nothing more: what they mean is decided behind [Backend], which *cluster.Node
// implements. Events and failures meet the wire in api/wire; status.go is the one
// room where errors become codes.
//
// Metadata that it reads: "taskhub" (the task hub; absent: default),
// "reprise-request-id" and "reprise-request-time" (the identity of a mutating
// request, and when it was first sent, in nanoseconds since 1970; see
// leader.RequestIdentity). Trailer that it writes: "reprise-error", a word that
// says more than the code.
package server
