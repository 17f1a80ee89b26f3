package lint

import (
	"fmt"
	"strconv"
	"strings"
)

// floor says what the packages of one floor may import from this module. A
// pattern is a directory from the module's root ("." is the root itself);
// "dir/..." is dir and everything below. Where several floors fit a package, the
// first one holds.
type floor struct {
	packages []string
	imports  []string
	// tests lists what only the floor's _test.go files may import besides.
	tests []string
}

// anyTest is what the tests of any floor may import.
var anyTest = []string{"internal/heavy", "internal/freeaddr"}

// floors is the table of allowed imports, top floor last; docs/architecture.md
// tells what the floors are. A package that no row names is a finding: whoever
// adds a package decides where it stands.
//
// Three things follow from it that are worth saying: engine and partition do not
// know each other; only client, cluster, cluster/executor, embedded, reprisetest
// and the top row import the module root; nobody imports internal/sim, bench or e2e.
var floors = []floor{
	// words, and leaves that know nothing of this module
	{packages: []string{"internal/pack"}},
	{packages: []string{"history"}, imports: []string{"internal/pack"}},
	{packages: []string{"api/..."}, imports: []string{"api/...", "history"}},
	{packages: []string{"internal/freeaddr", "internal/heavy", "internal/lint", "internal/nodeproc"}},

	// pure
	{packages: []string{"engine/..."}, imports: []string{"engine/...", "history"}},
	{packages: []string{"partition"}, imports: []string{"history", "internal/pack"}},

	// authoring
	{packages: []string{"."}, imports: []string{"engine", "history"}},

	// clocks, goroutines, networks, disks
	{packages: []string{"internal/peer/..."}, imports: []string{"internal/peer/..."}},
	{packages: []string{"raftlog/..."}, imports: []string{"raftlog/...", "internal/peer/..."}},
	{packages: []string{"partition/leader/..."}, imports: []string{"partition/leader/...", "partition", "history"}},

	// a node, a caller
	{packages: []string{"cluster/executor/..."}, imports: []string{".", "cluster/executor/...", "engine", "history", "partition/leader", "internal/peer"}},
	{packages: []string{"cluster/server/..."}, imports: []string{"api/...", "cluster", "cluster/server/...", "history", "partition/leader", "internal/peer"}},
	{
		packages: []string{"cluster/..."},
		imports:  []string{".", "api/...", "cluster/...", "engine", "history", "internal/peer/...", "partition", "partition/leader", "raftlog/..."},
		tests:    []string{"client", "otelreprise"},
	},
	{
		packages: []string{"client/..."},
		imports:  []string{".", "api/...", "client/...", "history"},
	},
	{packages: []string{"otelreprise"}, imports: []string{".", "client", "history"}},
	{packages: []string{"embedded"}, imports: []string{".", "client", "cluster", "cluster/server"}},
	{packages: []string{"reprisetest/..."}, imports: []string{".", "client", "cluster", "cluster/server", "history", "internal/peer", "raftlog"}},

	// what is made of the authoring API alone
	{packages: []string{"durablehttp"}, imports: []string{"."}, tests: []string{"cluster", "engine", "history", "partition/leader"}},

	// words about all of it
	{packages: []string{"docs"}},

	// wiring, measuring, proving
	{packages: []string{"internal/samples/..."}, imports: []string{".", "internal/samples/..."}},
	{packages: []string{"internal/testcluster"}, imports: []string{".", "cluster", "cluster/server", "internal/freeaddr", "internal/nodeproc"}},
	{packages: []string{"internal/sim/..."}, imports: []string{"...", "!bench/...", "!e2e/...", "!cmd/..."}},
	{packages: []string{"bench/..."}, imports: []string{"...", "!internal/sim/...", "!e2e/...", "!cmd/..."}},
	{packages: []string{"e2e/..."}, imports: []string{"...", "!internal/sim/...", "!bench/...", "!cmd/..."}},
	{packages: []string{"cmd/...", "examples/..."}, imports: []string{"...", "!internal/sim/...", "!bench/...", "!e2e/..."}},
}

// foreign says which packages may import a module that is not ours, where that
// is not a matter of taste. Modules that are not named here may be used anywhere
// above the pure core.
var foreign = []struct {
	module   string
	packages []string
	why      string
}{
	{"google.golang.org/protobuf", []string{"api/...", "client/...", "cluster/...", "cmd/...", "bench/...", "e2e/..."}, "protobuf is the border's language, not the core's"},
	{"google.golang.org/grpc", []string{"api/...", "client/...", "cluster/...", "reprisetest", "cmd/...", "bench/...", "e2e/..."}, "gRPC is the border's language, not the core's"},
	{"github.com/hashicorp/raft", []string{"raftlog/...", "internal/sim/..."}, "raftlog is the only room that knows Raft"},
	{"github.com/hashicorp/memberlist", []string{"cluster/..."}, "membership is the node's"},
	{"go.opentelemetry.io", []string{"otelreprise", "cluster"}, "only who wants OpenTelemetry has it in his program (cluster: its tests)"},
	{"github.com/spf13/cobra", []string{"cmd/..."}, "only programs have command lines"},
	{"github.com/anishathalye/porcupine", []string{"internal/sim/...", "e2e/..."}, "a checker judges from outside"},
}

// pureForeign is what the pure core may import from elsewhere, besides the
// standard library.
var pureForeign = []string{"github.com/cockroachdb/pebble/v2", "github.com/vmihailenco/msgpack/v5", "github.com/cespare/xxhash/v2"}

func (t *Tree) checkImports() []Finding {
	var found []Finding
	unplaced := map[string]bool{}
	for _, f := range t.files {
		row, ok := floorOf(f.pkg)
		if !ok {
			if !unplaced[f.pkg] {
				unplaced[f.pkg] = true
				found = append(found, Finding{File: f.pkg, Message: "the package stands on no floor; add it to the table in internal/lint/imports.go"})
			}
			continue
		}
		for _, spec := range f.syntax.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has checked it
			}
			if message := t.judgeImport(f, row, target); message != "" {
				found = append(found, Finding{File: f.path, Line: t.line(spec), Message: message})
			}
		}
	}
	return found
}

// judgeImport says what is wrong with an import, or nothing.
func (t *Tree) judgeImport(f *file, row floor, target string) string {
	if dir, ours := t.local(target); ours {
		if dir == f.pkg || match(row.imports, dir) || f.test && (match(row.tests, dir) || match(anyTest, dir)) {
			return ""
		}
		return fmt.Sprintf("%s must not import %s (see the table in internal/lint/imports.go)", shown(f.pkg), shown(dir))
	}
	for _, rule := range foreign {
		if under(target, rule.module) && !match(rule.packages, f.pkg) {
			return fmt.Sprintf("%s must not import %s: %s", shown(f.pkg), target, rule.why)
		}
	}
	if pure(f) && strings.Contains(strings.SplitN(target, "/", 2)[0], ".") {
		for _, allowed := range pureForeign {
			if under(target, allowed) {
				return ""
			}
		}
		return fmt.Sprintf("%s must not import %s: the pure core takes no other modules", shown(f.pkg), target)
	}
	return ""
}

// local turns an import path of this module into a directory.
func (t *Tree) local(target string) (dir string, ours bool) {
	if target == t.module {
		return ".", true
	}
	return strings.CutPrefix(target, t.module+"/")
}

func floorOf(pkg string) (floor, bool) {
	for _, row := range floors {
		if match(row.packages, pkg) {
			return row, true
		}
	}
	return floor{}, false
}

// match reports whether one of the patterns fits the directory and none that
// begins with "!" does.
func match(patterns []string, dir string) bool {
	fits := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if !matchOne(p, dir) {
			continue
		}
		if not {
			return false
		}
		fits = true
	}
	return fits
}

func matchOne(pattern, dir string) bool {
	if pattern == "..." {
		return true
	}
	if parent, tree := strings.CutSuffix(pattern, "/..."); tree {
		return under(dir, parent)
	}
	return pattern == dir
}

// under reports whether p is parent or lies below it.
func under(p, parent string) bool {
	return p == parent || strings.HasPrefix(p, parent+"/")
}

func shown(pkg string) string {
	if pkg == "." {
		return "the module root"
	}
	return pkg
}
