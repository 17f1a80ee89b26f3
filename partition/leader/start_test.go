package leader

import (
	"errors"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// Tags that code could not set cannot be those of a start either.
func TestTagsOfAStart(t *testing.T) {
	for name, c := range map[string]struct {
		tags map[string]string
		want error
	}{
		"good":         {map[string]string{"customer": "7", "empty": ""}, nil},
		"nameless":     {map[string]string{"": "7"}, ErrInvalid},
		"name no text": {map[string]string{"\xff": "7"}, ErrInvalid},
		"no text":      {map[string]string{"customer": "\xff"}, ErrInvalid},
		"too large":    {map[string]string{"customer": strings.Repeat("x", history.MaxTagsBytes)}, ErrTooLarge},
	} {
		req := StartRequest{Instance: InstanceRef{Hub: history.DefaultTaskHub, ID: "i"}, Name: "o", Execution: "x", Tags: c.tags}
		if err := validateStart(&req); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
