package reprise

import "github.com/reprise-run/reprise/history"

// Patched reports whether the execution goes the way of a change of the code. It is true
// in executions that reach it for the first time with this code, which is recorded, and
// false in those that passed here with the code before:
//
//	if o.Patched("notify-first") {
//		Notify.Call(o, in)
//	}
//
// The answer for a patch is the same wherever and however often the execution asks. Its
// name is UTF-8 of at most [history.MaxPatchNameBytes]; Patched panics where it is not. When
// no execution from before the patch is left, replace the call by [Orchestration.DeprecatePatch];
// when none that recorded it is left, remove that.
func (o *Orchestration) Patched(patch string) bool {
	checkPatch("ask for a patch", patch)
	return o.h.Patched(patch)
}

// DeprecatePatch stands where the code asked for a patch that all executions have by now:
// executions that recorded it replay, and new ones record nothing.
func (o *Orchestration) DeprecatePatch(patch string) {
	checkPatch("deprecate a patch", patch)
	o.h.DeprecatePatch(patch)
}

func checkPatch(what, patch string) {
	if err := history.ValidatePatchName(patch); err != nil {
		panic(misuse("%s: %v", what, err))
	}
}
