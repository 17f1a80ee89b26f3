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

func TestEntityIDs(t *testing.T) {
	for id, want := range map[InstanceID]string{
		"@counter@a":  "",
		"@counter@":   "",
		"@bank@a@b":   "",
		"counter":     "is not of the form",
		"@counter":    "is not of the form",
		"@@a":         "has no name",
		"@Counter@a":  "not in lower case",
		"@counter@/a": "none of / ",
		InstanceID("@c@" + strings.Repeat("k", 97)): "",
		InstanceID("@c@" + strings.Repeat("k", 98)): "length",
	} {
		err := ValidateEntityID(id)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", id, err, want)
		}
	}
	if id := EntityID("Counter", "A@b"); id != "@counter@A@b" || !id.IsEntity() {
		t.Errorf("entity ID %q", id)
	}
	if name, key := InstanceID("@counter@A@b").Entity(); name != "counter" || key != "A@b" {
		t.Errorf("name %q, key %q", name, key)
	}
}
