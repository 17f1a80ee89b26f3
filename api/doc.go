// Package api is the parent of the wire forms of a node's public services. The
// proto files are in api/proto; scripts/generate.sh makes the Go code.
//
//   - api/durabletask: the messages of the Durable Task protocol's client side,
//     written from the protocol's facts (numbers, wire types, presence), in the
//     proto package reprise.durabletask.v1; and the service
//     TaskHubSidecarService, which has no package because its method paths have
//     none (/TaskHubSidecarService/StartInstance).
//   - api/reprisev1: RepriseService and CancelService, for what that protocol lacks.
//
// Names of messages do not travel, so they may live in a package of ours; that
// way they do not collide with another copy of the protocol linked into the same
// program, which would be a panic at start. The service's name does travel. Its
// file therefore gets no descriptor: only protoc-gen-go-grpc runs over
// service.proto, and the generated ServiceDesc names the service for gRPC alone.
// The price is that reflection does not list this service.
//
// Values of user code are BytesValue where the protocol says StringValue; the two
// are the same on the wire. Fields from 50001 on are our own.
package api
