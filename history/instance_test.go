package history

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateOrchestrationID(t *testing.T) {
	for _, c := range []struct {
		id   string
		want string // part of the error; empty: valid
	}{
		{"order-42", ""},
		{"a b:c@d.é", ""},
		{strings.Repeat("x", 256), ""},
		{strings.Repeat("é", 128), ""},
		{"", "is empty"},
		{strings.Repeat("x", 257), "has 257 bytes"},
		{strings.Repeat("é", 129), "has 258 bytes"},
		{"a\xff", "not valid UTF-8"},
		{"a\x00b", "control character U+0000"},
		{"a\nb", "control character U+000A"},
		{"a\u0085b", "control character U+0085"},
		{"a/b", "'/'"},
		{`a\b`, `'\\'`},
		{"a#b", "'#'"},
		{"a?b", "'?'"},
		{"@account@7", "begins with @"},
	} {
		err := ValidateOrchestrationID(InstanceID(c.id))
		if c.want == "" {
			if err != nil {
				t.Errorf("%q: %v", c.id, err)
			}
			continue
		}
		var invalid *InvalidIDError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.id, err, c.want)
		}
	}
}

func TestValidateTaskHub(t *testing.T) {
	for hub, valid := range map[string]bool{"default": true, "@x": true, strings.Repeat("h", 64): true, strings.Repeat("h", 65): false, "": false, "a/b": false} {
		if err := ValidateTaskHub(TaskHub(hub)); (err == nil) != valid {
			t.Errorf("%q: %v", hub, err)
		}
	}
}
