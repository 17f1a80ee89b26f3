package history

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TaskHub names a set of instances. A cluster holds many task hubs; a task hub
// comes into being with its first instance.
type TaskHub string

// DefaultTaskHub is used where no task hub is named.
const DefaultTaskHub TaskHub = "default"

// InstanceID names an instance, unique in its task hub.
type InstanceID string

// ExecutionID names one generation of an instance: 32 lower-case hex digits.
type ExecutionID string

// MaxInstanceIDBytes is the longest instance ID that is accepted, in bytes.
const MaxInstanceIDBytes = 256

// MaxTaskHubBytes is the longest task hub name that is accepted, in bytes.
const MaxTaskHubBytes = 64

// An InvalidIDError says why a text cannot be an instance ID or a task hub name.
type InvalidIDError struct {
	What   string // "instance ID" or "task hub"
	ID     string
	Reason string
}

func (e *InvalidIDError) Error() string {
	shown := e.ID
	if len(shown) > 64 {
		shown = shown[:64] + "…"
	}
	return fmt.Sprintf("%s %q %s", e.What, shown, e.Reason)
}

// ValidateOrchestrationID reports why id cannot name an orchestration: it is
// empty, not UTF-8, longer than [MaxInstanceIDBytes], has control characters or
// one of / \ # ?, or begins with @ (which is kept for entities). The error is
// an *[InvalidIDError].
func ValidateOrchestrationID(id InstanceID) error {
	if strings.HasPrefix(string(id), "@") {
		return &InvalidIDError{"instance ID", string(id), "begins with @, which only entities may; choose another first character"}
	}
	return validateName("instance ID", string(id), MaxInstanceIDBytes)
}

// ValidateTaskHub reports why hub cannot name a task hub, by the same rules as
// for an instance ID but at most [MaxTaskHubBytes] long.
func ValidateTaskHub(hub TaskHub) error {
	return validateName("task hub", string(hub), MaxTaskHubBytes)
}

// MaxNameBytes is the longest name of an orchestrator or an activity, and the longest
// version.
const MaxNameBytes = 256

// ValidateName reports why a text cannot be the name of an orchestrator or an activity,
// or a version: it is longer than [MaxNameBytes], not UTF-8, or has control characters.
func ValidateName(text string) error {
	switch {
	case len(text) > MaxNameBytes:
		return fmt.Errorf("the name %.32q… has %d bytes; at most %d are allowed", text, len(text), MaxNameBytes)
	case !utf8.ValidString(text):
		return fmt.Errorf("the name %q is not UTF-8", text)
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("the name %q has control characters", text)
	}
	return nil
}

// TagBytes returns how much tags take.
func TagBytes(tags map[string]string) int {
	n := 0
	for k, v := range tags {
		n += len(k) + len(v)
	}
	return n
}

func validateName(what, id string, limit int) error {
	switch {
	case id == "":
		return &InvalidIDError{what, id, "is empty"}
	case len(id) > limit:
		return &InvalidIDError{what, id, fmt.Sprintf("has %d bytes; at most %d are allowed", len(id), limit)}
	case !utf8.ValidString(id):
		return &InvalidIDError{what, id, "is not valid UTF-8"}
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return &InvalidIDError{what, id, fmt.Sprintf("has the control character %U", r)}
		}
		if strings.ContainsRune(`/\#?`, r) {
			return &InvalidIDError{what, id, fmt.Sprintf("has the character %q; none of / \\ # ? is allowed", r)}
		}
	}
	return nil
}
