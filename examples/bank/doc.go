// Command bank shows transfers between accounts in a critical section.
//
//	go run ./examples/bank
//
// An account is an entity: its operations run one at a time, and one that fails has not
// happened. A transfer is an orchestration that locks two accounts, takes from one and
// gives to the other; nobody sees the money on its way, two transfers never wait for each
// other, and the locks go when the orchestration ends, however it ends. An audit locks
// all accounts and sees the same sum every time.
package main
