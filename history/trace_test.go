package history

import (
	"strings"
	"testing"
)

const traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestValidTrace(t *testing.T) {
	for text, want := range map[string]bool{
		traced:                               true,
		"":                                   false,
		traced + "-more":                     false, // of version 00
		"01" + traced[2:] + "-more":          true,
		"01" + traced[2:] + "more":           false,
		"ff" + traced[2:]:                    false,
		strings.ToUpper(traced):              false,
		traced[:len(traced)-1]:               false,
		strings.ReplaceAll(traced, "-", "_"): false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
	} {
		if got := ValidTrace(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// What is derived stays in the trace, is another span for everything, and is the
// same whenever it is derived: these texts are in histories.
func TestDerivedTraces(t *testing.T) {
	got := []string{ExecutionTrace(traced, "e"), TaskTrace(traced, "e", 0), TaskTrace(traced, "e", 1), TaskTrace(traced, "f", 0),
		OperationTrace(traced, "e", 0), OperationTrace(traced, "e", 1), OperationTrace(traced, "f", 0)}
	if want := "00-0af7651916cd43dd8448eb211c80319c-"; got[0] != want+"fdd081fbe310455e-01" || got[1] != want+"65b2de08333aa2fe-01" {
		t.Errorf("histories have others: %s", got)
	}
	seen := map[string]bool{traced: true}
	for _, s := range got {
		if !ValidTrace(s) || seen[s] || !strings.HasPrefix(s, traced[:traceIDEnd+1]) || !strings.HasSuffix(s, "-01") {
			t.Errorf("%s of %s", s, got)
		}
		seen[s] = true
	}
	for _, bad := range []string{"", "00-1"} {
		if s := ExecutionTrace(bad, "e") + TaskTrace(bad, "e", 0) + OperationTrace(bad, "e", 0); s != "" {
			t.Errorf("%q gives %q", bad, s)
		}
	}
	if s := ExecutionTrace("01"+traced[2:]+"-more", "e"); s != got[0] {
		t.Errorf("of a newer version: %s", s)
	}
}
