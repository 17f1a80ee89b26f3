package main

import (
	"strings"
	"testing"
)

// Notes go to standard error beside what a command has done; the exit code is 0.
func TestNotes(t *testing.T) {
	serve(t)
	for _, c := range []struct{ args, stdout, stderr string }{
		{"start unknown --id i", "i\n", `reprise: no node says that it binds orchestration "unknown", which waits for one that does; "reprise cluster" shows what nodes bind` + "\n"},
		{"start unknown --id i --wait", "{\"a\": [1]}\n", `reprise: no node says that it binds orchestration "unknown", which waits for one that does; "reprise cluster" shows what nodes bind` + "\n"},
		{"raise i approved", "", `reprise: "i" was Completed before that; an orchestration that has ended drops events` + "\n"},
		{"history new", "", `reprise: "new" has no events yet; "reprise status" says what it waits for` + "\n"},
		{"history new -o json", "[]\n", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			if got := try(t, "", strings.Fields(c.args)...); got != (outcome{0, c.stdout, c.stderr}) {
				t.Errorf("got %+v, want stdout %q, stderr %q", got, c.stdout, c.stderr)
			}
		})
	}
}

// What parked an instance is told once.
func TestStatusOfParked(t *testing.T) {
	serve(t)
	got := try(t, "", "status", "parked").stdout
	for _, want := range []string{"Parked        it does otherwise\n", "Waits for     fitting code\n", "Waits for     event \"go\"\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "otherwise"); n != 1 {
		t.Errorf("told %d times:\n%s", n, got)
	}
}
