package history

import (
	"fmt"
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
		if got := (Trace{Parent: text}).Valid(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// What comes from outside is handed on as far as it is a trace.
func TestCleanTrace(t *testing.T) {
	long := func(key string, n int) string { return key + "=" + strings.Repeat("x", n-len(key)-1) }
	members := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("k%d=v", i))
		}
		return strings.Join(all, ",")
	}
	for state, want := range map[string]string{
		"":                              "",
		"a=1":                           "a=1",
		"rojo=00f0,congo=t6/1@tenant_x": "rojo=00f0,congo=t6/1@tenant_x",
		"tenant@sys=1,0a_-*/=2":         "tenant@sys=1,0a_-*/=2",
		" a=1 ,\t,, b= 2\t":             "a=1,b= 2",
		members(32):                     members(32),
		members(33):                     "",
		"a=1,a=2":                       "",
		"a":                             "",
		"a=":                            "",
		"=1":                            "",
		"A=1":                           "",
		"_a=1":                          "",
		"a b=1":                         "",
		"a=1=2":                         "",
		"a=1\x7f":                       "",
		"a=ü,b=1":                       "",
		"a=1,b":                         "", // one member that is none spoils all
		long("k", 258):                  long("k", 258),
		long("k", 259):                  "",
		strings.Repeat("k", 256) + "=1": strings.Repeat("k", 256) + "=1",
		strings.Repeat("k", 257) + "=1": "",
		// Too long: first the last of the large ones, then the last.
		long("a", 128) + "," + long("b", 200) + "," + long("c", 129) + "," + long("d", 100): long("a", 128) + "," + long("b", 200) + "," + long("d", 100),
		long("a", 128) + "," + long("b", 128) + "," + long("c", 128) + "," + long("d", 125): long("a", 128) + "," + long("b", 128) + "," + long("c", 128) + "," + long("d", 125),
		long("a", 128) + "," + long("b", 128) + "," + long("c", 128) + "," + long("d", 126): long("a", 128) + "," + long("b", 128) + "," + long("c", 128),
		long("a", 258) + "," + long("b", 254):                                               long("a", 258),
	} {
		got := Trace{traced, state}.Clean()
		if got != (Trace{traced, want}) || len(got.State) > MaxTraceStateBytes || got.Clean() != got {
			t.Errorf("%q becomes %q, want %q", state, got.State, want)
		}
	}
	for parent, want := range map[string]Trace{
		"":                           {},
		"odd":                        {},
		"cc" + traced[2:] + "-later": {traced, "a=1"},
	} {
		if got := (Trace{parent, "a=1"}).Clean(); got != want {
			t.Errorf("%q becomes %q, want %q", parent, got, want)
		}
	}
}

func FuzzCleanTrace(f *testing.F) {
	f.Add(traced, "a=1,b=2")
	f.Add(traced, strings.Repeat("a=1,", 200))
	f.Add("01"+traced[2:]+"-more", "a@b= c ,")
	f.Fuzz(func(t *testing.T, parent, state string) {
		got := Trace{parent, state}.Clean()
		if got.Clean() != got || len(got.State) > MaxTraceStateBytes || (got.Parent == "") == (Trace{Parent: parent}).Valid() || got.Parent == "" && got.State != "" {
			t.Errorf("%q %q becomes %q", parent, state, got)
		}
	})
}

// What is derived stays in the trace, is another span for everything, and is the
// same whenever it is derived: these texts are in histories.
func TestDerivedTraces(t *testing.T) {
	of := Trace{traced, "a=1"}
	derived := func(of Trace) []Trace {
		return []Trace{
			of.Execution("e"), of.Task("e", 0), of.Task("e", 1), of.Task("f", 0),
			of.Operation("e", 0), of.Operation("e", 1), of.Operation("f", 0), of.Event("e", 0), of.Event("e", 1), of.Event("f", 0),
		}
	}
	got := derived(of)
	if want := "00-0af7651916cd43dd8448eb211c80319c-"; got[0].Parent != want+"fdd081fbe310455e-01" || got[1].Parent != want+"65b2de08333aa2fe-01" {
		t.Errorf("histories have others: %s", got)
	}
	seen := map[string]bool{traced: true}
	for _, d := range got {
		s := d.Parent
		if !d.Valid() || seen[s] || !strings.HasPrefix(s, traced[:traceIDEnd+1]) || !strings.HasSuffix(s, "-01") || d.State != of.State {
			t.Errorf("%s of %s", d, got)
		}
		seen[s] = true
	}
	for _, bad := range []string{"", "00-1"} {
		for _, d := range derived(Trace{bad, "a=1"}) {
			if d != (Trace{}) {
				t.Errorf("%q gives %q", bad, d)
			}
		}
	}
	if d := (Trace{"01" + traced[2:] + "-more", "a=1"}).Execution("e"); d != got[0] {
		t.Errorf("of a newer version: %s", d)
	}
}
