package engine

import (
	"maps"

	"github.com/reprise-run/reprise/history"
)

// Tags returns the tags of the instance as the code sees them: those of the start, as
// the code has changed them since. They must not be changed.
func (h *Handle) Tags() map[string]string {
	if h.x.tags != nil {
		return h.x.tags
	}
	return h.x.started.Tags
}

// SetTag sets a tag of the instance, as of the end of the episode. Like the custom
// status it is no decision: the history says nothing of it, and replay sets it again.
// The error says why the instance cannot have the tag; then all stays as it is.
func (h *Handle) SetTag(name, value string) error {
	h.enter("set a tag")
	if h.x.unwinding {
		return nil
	}
	tags := h.changedTags()
	tags[name] = value
	if err := history.ValidateTags(tags); err != nil {
		return err
	}
	h.x.tags = tags
	return nil
}

// DeleteTag deletes a tag of the instance, as of the end of the episode. It does
// nothing where there is none.
func (h *Handle) DeleteTag(name string) {
	h.enter("delete a tag")
	if _, ok := h.Tags()[name]; !ok || h.x.unwinding {
		return
	}
	tags := h.changedTags()
	delete(tags, name)
	h.x.tags = tags
}

// changedTags returns a copy: earlier episodes, and the start, have the maps that were.
func (h *Handle) changedTags() map[string]string {
	tags := maps.Clone(h.Tags())
	if tags == nil {
		tags = make(map[string]string)
	}
	return tags
}
