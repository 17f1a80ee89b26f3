package history

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/reprise-run/reprise/internal/pack"
)

// MaxTagsBytes bounds the tags of an instance: their names and values together.
const MaxTagsBytes = 16 << 10

// ValidateTags reports why an instance cannot have these tags.
func ValidateTags(tags map[string]string) error {
	size := 0
	for name, value := range tags {
		switch {
		case name == "":
			return errors.New("a tag has no name")
		case !utf8.ValidString(name):
			return fmt.Errorf("the tag's name %q is not UTF-8", name)
		case !utf8.ValidString(value):
			return fmt.Errorf("the value of tag %q is not UTF-8", name)
		}
		size += len(name) + len(value)
	}
	if size > MaxTagsBytes {
		return fmt.Errorf("the instance would have tags of %d bytes; at most %d are allowed", size, MaxTagsBytes)
	}
	return nil
}

// writeChangedTags writes tags of which nil and none are not the same.
func writeChangedTags(w *pack.Writer, tags map[string]string) {
	if tags == nil {
		w.Nil()
		return
	}
	writeTags(w, tags)
}

func readChangedTags(r *pack.Reader) map[string]string {
	if r.IsNil() {
		return nil
	}
	if tags := readTags(r); tags != nil {
		return tags
	}
	return map[string]string{}
}
