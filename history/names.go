package history

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxEventNameBytes bounds the names of external events.
const MaxEventNameBytes = 256

// ValidateEventName reports why a text cannot name an external event.
func ValidateEventName(name string) error {
	switch {
	case name == "":
		return errors.New("the event has no name")
	case len(name) > MaxEventNameBytes:
		return fmt.Errorf("the event's name has %d bytes; at most %d are allowed", len(name), MaxEventNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("the event's name %q is not UTF-8", name)
	}
	return nil
}

// MaxOperationNameBytes bounds the names of operations of entities.
const MaxOperationNameBytes = 256

// ValidateOperationName reports why a text cannot name an operation of an entity.
func ValidateOperationName(name string) error {
	switch {
	case name == "":
		return errors.New("the operation has no name")
	case len(name) > MaxOperationNameBytes:
		return fmt.Errorf("the operation's name has %d bytes; at most %d are allowed", len(name), MaxOperationNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("the operation's name %q is not UTF-8", name)
	}
	return nil
}

// MaxPatchNameBytes bounds the names of patches.
const MaxPatchNameBytes = 256

// ValidatePatchName reports why a text cannot name a patch of the code.
func ValidatePatchName(name string) error {
	switch {
	case name == "":
		return errors.New("the patch has no name")
	case len(name) > MaxPatchNameBytes:
		return fmt.Errorf("the patch's name has %d bytes; at most %d are allowed", len(name), MaxPatchNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("the patch's name %q is not UTF-8", name)
	}
	return nil
}
