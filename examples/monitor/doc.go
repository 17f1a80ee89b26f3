// Command monitor shows how to wait for something that does not call back: ask, wait
// a while, ask again, less and less often, until it is done or the time is over.
//
//	go run ./examples/monitor
//
// The waits are durable timers. Whoever asks for the status of the orchestration
// sees what was last heard of the job and when it is asked about again. Where the
// polling may go on for months, the history would grow; examples/eternal shows what
// to do then.
package main
