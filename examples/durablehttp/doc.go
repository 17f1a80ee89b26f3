// Command durablehttp shows an orchestrator that has another service do long work,
// with HTTP and no activity of its own.
//
//	go run ./examples/durablehttp
//
// A film is rendered by a service that answers 202 and says where to ask for the
// end. The orchestrator makes one call, which sends the request, waits, asks again,
// and returns the end of the operation; between the polls nothing runs anywhere. If
// a node dies after the service has begun and before that is known, the request is
// sent again with the same Idempotency-Key, so the film is rendered once.
//
// A node lets out what its configuration allows, and nothing else; the package
// durablehttp has the rules.
package main
