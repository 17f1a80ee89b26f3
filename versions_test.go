package reprise_test

import (
	"strings"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

func TestCompareVersions(t *testing.T) {
	ascending := []string{"", "0.9", "1.0", "1.2", "1.10", "1.10.1", "1.beta", "1.rc", "2", "10.0", "99999999999999999999999.1", "a"}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := reprise.CompareVersions(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0"}, {"1.0", "01.00.0"}, {"", "0"}, {"2..1", "2.0.1"}} {
		if reprise.CompareVersions(same[0], same[1]) != 0 {
			t.Errorf("%q and %q differ", same[0], same[1])
		}
	}
}

func TestVersionsSideBySide(t *testing.T) {
	d := reprise.NewOrchestration[int, string]("o")
	for _, c := range []struct {
		matching reprise.Matching
		bound    string // versions, - for none
		want     string // by version of the instance: which runs it, or !
	}{
		{reprise.Strict, "1.0 2.0", "=! 1=1.0 1.0=1.0 1.5=! 2.0=2.0 3=!"},
		{reprise.Strict, "- 2.0", "=- 1.0=- 2=2.0 3=-"},
		{reprise.CurrentOrOlder, "1.0 2.0", "=1.0 0.5=1.0 1.0=1.0 1.5=2.0 2.0=2.0 3=!"},
		{reprise.CurrentOrOlder, "- 2.0", "=2.0 1.0=2.0 3=-"},
		{reprise.Strict, "-", "=- 7=-"},
	} {
		r := reprise.NewRegistry(reprise.WithMatching(c.matching))
		for _, v := range strings.Fields(c.bound) {
			b := d.Version(v)
			if v == "-" {
				b = d
			}
			reprise.Bind(r, b, func(*reprise.Orchestration, int) (string, error) { return v, nil })
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
		for _, w := range strings.Fields(c.want) {
			version, want, _ := strings.Cut(w, "=")
			got := "!"
			program, err := r.OrchestratorOf("o", version)
			if err == nil {
				x := engine.New(program, engine.Identity{Hub: "default", Instance: "i"})
				episode, err := x.Run([]history.Event{
					{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
					{ID: history.NoID, Time: began, Body: &history.ExecutionStarted{Name: "o", Version: version, ExecutionID: "e"}},
				})
				if err != nil {
					t.Fatal(err)
				}
				got = strings.Trim(string(episode.Completion().Result), `"`)
			} else if !strings.Contains(err.Error(), "it is in 1.0, 2.0") {
				t.Errorf("the error does not say what is bound: %v", err)
			}
			if got != want {
				t.Errorf("%d with %s: version %q runs as %s, want %s", c.matching, c.bound, version, got, want)
			}
		}
	}
	r := reprise.NewRegistry()
	for _, v := range []string{"1.0", "1"} {
		reprise.Bind(r, d.Version(v), func(*reprise.Orchestration, int) (string, error) { return v, nil })
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "bound already") {
		t.Errorf("the same version twice: %v", err)
	}
	if names := r.Orchestrators(); len(names) != 1 || names[0] != "o" {
		t.Errorf("names %q", names)
	}
}

// A version that nobody could start is refused when it is bound, with a text that says
// what is wrong with it.
func TestBindVersion(t *testing.T) {
	for _, c := range []struct{ version, says string }{
		{strings.Repeat("9", history.MaxNameBytes), ""},
		{strings.Repeat("9", history.MaxNameBytes+1), "has 257 bytes; at most 256 are allowed"},
		{"1.0\n", `version: the name "1.0\n" has control characters`},
		{"1.\xff", `version: the name "1.\xff" is not UTF-8`},
	} {
		r := reprise.NewRegistry()
		d := reprise.NewOrchestration[int, int]("o").Version(c.version)
		reprise.Bind(r, d, func(_ *reprise.Orchestration, n int) (int, error) { return n, nil })
		switch err := r.Err(); {
		case c.says == "" && (err != nil || len(r.Versions()) != 1):
			t.Errorf("version of %d bytes: %v", len(c.version), err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), `bind orchestration "o": version: `) || !strings.Contains(err.Error(), c.says) || len(r.Versions()) != 0):
			t.Errorf("version %.20q: %v, want an error with %q; bound are %q", c.version, err, c.says, r.Versions())
		}
	}
}

// A patch is decided once, and a sub-orchestration gets the version of its descriptor.
func TestPatchAndChildVersion(t *testing.T) {
	kid := reprise.NewOrchestration[int, string]("kid")
	registry := func() *reprise.Registry {
		r := with(func(o *reprise.Orchestration, n int) (any, error) {
			o.DeprecatePatch("old")
			if first := o.Patched("new"); !first || first != o.Patched("new") {
				return nil, errGone
			}
			if _, err := kid.Version("2").StartDetached(o, 1); err != nil {
				return nil, err
			}
			if _, err := kid.Version("2").StartDetached(o, 1, reprise.ChildVersion("3")); err != nil {
				return nil, err
			}
			_, err := double.Call(o, 1)
			return o.HistoryLength(), err
		})()
		return r
	}
	r := both(t, registry, "test", "1")
	if output(t, r) != "6" || !strings.Contains(r.history(), `#0 PatchApplied "new"`) || strings.Count(r.history(), "PatchApplied") != 1 ||
		!strings.Contains(r.history(), `version="2"`) || !strings.Contains(r.history(), `version="3"`) {
		t.Errorf("%s\n%s", r.end.Result, r.history())
	}
}

func TestPatchNames(t *testing.T) {
	for name, says := range map[string]string{
		"":                       "the patch has no name",
		strings.Repeat("n", 257): "the patch's name has 257 bytes; at most 256 are allowed",
		"\xff":                   `the patch's name "\xff" is not UTF-8`,
	} {
		for what, ask := range map[string]func(o *reprise.Orchestration){
			"ask for":   func(o *reprise.Orchestration) { o.Patched(name) },
			"deprecate": func(o *reprise.Orchestration) { o.DeprecatePatch(name) },
		} {
			r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
				ask(o)
				return nil, nil
			}), "test", "1")
			want := "reprise: " + what + " a patch: " + says
			if f := r.end.Failure; f == nil || f.Type != history.FailurePanic || f.Message != want {
				t.Errorf("%+v, want %q", f, want)
			}
		}
	}
	r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
		return o.Patched(strings.Repeat("é", 128)), nil
	}), "test", "1")
	if output(t, r) != "true" {
		t.Errorf("a name of 256 bytes: %s", r.end.Result)
	}
}
