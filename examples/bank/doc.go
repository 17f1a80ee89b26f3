// Command bank shows state with an address, and how to change two of them as one.
//
//	go run ./examples/bank
//
// An account is an entity: only its own operations read and change it, one at a time,
// whoever asks and from wherever. A transfer is an orchestration that locks two
// accounts, takes from one and gives to the other. Nobody else's operation runs on
// them meanwhile, two transfers never wait for each other, and the locks go with the
// orchestration, however it ends. If a node dies in between, the transfer goes on
// where it was.
package main
