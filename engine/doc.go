// Package engine replays one execution of an orchestrator.
//
// An [Execution] is fed with events that arrived and answers with events that
// the user's code decided ([history.Episode]). It has no clock and does no I/O:
// the time of an episode is the time of the OrchestratorStarted event that
// begins it. The user's code is a coroutine (iter.Pull), so the engine knows
// exactly when it waits for something durable; no timer guesses it.
//
// Live execution and replay are the same loop. [Execution.Replay] feeds the
// recorded episodes and compares each decision of the code with the recorded
// one; [Execution.Run] feeds what arrived since and collects the decisions. The
// code is resumed after each event, so races are decided by the order of events,
// which is recorded.
//
// Code that decides anything else than was recorded (another name, kind or
// order, one decision more, one less) is a *[history.NondeterminismError] and
// the execution stands still from then on.
//
// [Execution.Close] unloads an execution. If it was not finished, the user's
// coroutine is unwound by runtime.Goexit: the user's deferred functions run,
// recover returns nil in them, decisions made in them do nothing, and a durable
// wait ends the deferred function that made it. So a deferred loop around a wait
// ends too.
package engine
