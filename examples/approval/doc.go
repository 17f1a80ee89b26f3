// Command approval shows a step that people decide: an event that is waited for,
// with a time limit, and somebody else who is asked when it is over.
//
//	go run ./examples/approval
//
// An expense goes to its approvers, one after the other: each gets a letter and so
// much time. The wait costs nothing: nobody holds a connection or a thread for
// three days, and it goes on when nodes come and go. An answer that comes before
// anybody waits is kept.
package main
