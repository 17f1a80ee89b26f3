package reprise

import "maps"

// Tags returns a copy of the instance's tags: those that its start gave it, as the
// orchestrator has changed them since. It is the same on replay.
func (o *Orchestration) Tags() map[string]string { return maps.Clone(o.h.Tags()) }

// SetTag sets a tag of the instance, which a status query shows from the end of this
// episode on, and which stays when the orchestration continues as new. All tags of an
// instance, names and values, have at most 16 KiB; the error says why the instance
// cannot have this one, and then nothing is changed.
func (o *Orchestration) SetTag(name, value string) error { return o.h.SetTag(name, value) }

// DeleteTag deletes a tag of the instance, if it has it, from the end of this episode on.
func (o *Orchestration) DeleteTag(name string) { o.h.DeleteTag(name) }
