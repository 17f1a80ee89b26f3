package engine

import "github.com/reprise-run/reprise/history"

// Patched reports whether the execution goes the way of a patch. What an execution was
// told first stays true: where it asks for the first time beyond its recorded history,
// it goes the new way, and that is a decision; where it asks during a recorded episode
// and the history has no such decision at this place, it goes the old way.
func (h *Handle) Patched(patch string) bool {
	h.enter("ask for a patch")
	x := h.x
	if told, ok := x.patches[patch]; ok || x.unwinding {
		return told
	}
	if x.patches == nil {
		x.patches = make(map[string]bool)
	}
	told := !x.replaying || x.marks(patch)
	if told {
		h.decide(&history.PatchApplied{Patch: patch})
	}
	x.patches[patch] = told
	return told
}

// DeprecatePatch passes over the decision that [Handle.Patched] made at this place, if
// the history has it.
func (h *Handle) DeprecatePatch(patch string) {
	h.enter("deprecate a patch")
	x := h.x
	if _, ok := x.patches[patch]; !ok && !x.unwinding && x.replaying && x.marks(patch) {
		h.Patched(patch)
	}
}

// marks reports whether the next recorded decision is that of the patch.
func (x *Execution) marks(patch string) bool {
	if x.cursor >= len(x.recorded) {
		return false
	}
	p, ok := x.recorded[x.cursor].Body.(*history.PatchApplied)
	return ok && p.Patch == patch
}
