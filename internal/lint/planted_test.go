package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "example.org/m"

// tree builds a module in memory: each argument is a file, its path on the first
// line; M/ in an import stands for the module.
func tree(t *testing.T, files ...string) *Tree {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module " + module + "\n")}}
	for _, text := range files {
		name, body, _ := strings.Cut(text, "\n")
		fsys[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(body, "M/", module+"/"))}
	}
	return load(t, fsys)
}

func load(t *testing.T, fsys fstest.MapFS) *Tree {
	t.Helper()
	tree, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func expect(t *testing.T, got []Finding, want ...string) {
	t.Helper()
	var text []string
	for _, f := range got {
		text = append(text, f.String())
	}
	if !slices.Equal(text, want) {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(text, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestImportEdges(t *testing.T) {
	const why = " (see the table in internal/lint/imports.go)"
	for _, c := range []struct {
		importer, target string
		refused          string // "" where the edge is allowed
	}{
		{"engine/a.go", "M/history", ""},
		{"engine/a.go", "M/partition", "engine must not import partition" + why},
		{"partition/a.go", "M/engine", "partition must not import engine" + why},
		{"partition/a.go", "M/partition/leader", "partition must not import partition/leader" + why},
		{"partition/leader/a.go", "M/partition", ""},
		{"partition/leader/a.go", "M/engine", "partition/leader must not import engine" + why},
		{"partition/leader/a.go", module, "partition/leader must not import the module root" + why},
		{"cluster/server/a.go", module, "cluster/server must not import the module root" + why},
		{"cluster/executor/a.go", module, ""},
		{"client/a.go", module, ""},
		{"client/a.go", "M/cluster", "client must not import cluster" + why},
		{"cluster/a.go", "M/client", "cluster must not import client" + why},
		{"cluster/a_test.go", "M/client", ""},
		{"a.go", "M/engine", ""},
		{"a.go", "M/cluster", "the module root must not import cluster" + why},
		{"raftlog/a.go", "M/history", "raftlog must not import history" + why},
		{"cmd/reprise/a.go", "M/internal/sim", "cmd/reprise must not import internal/sim" + why},
		{"cmd/reprise/a.go", "M/cluster", ""},
		{"e2e/a_test.go", "M/bench", "e2e must not import bench" + why},
		{"e2e/a_test.go", "M/internal/heavy", ""},
		{"e2e/a.go", "M/e2e/ledger", ""},
		{"history/a.go", "M/internal/heavy", "history must not import internal/heavy" + why},
		{"history/a_test.go", "M/internal/heavy", ""},
		{"engine/a.go", "google.golang.org/protobuf/proto", "engine must not import google.golang.org/protobuf/proto: protobuf is the border's language, not the core's"},
		{"partition/leader/a.go", "google.golang.org/grpc", "partition/leader must not import google.golang.org/grpc: gRPC is the border's language, not the core's"},
		{"api/wire/a.go", "google.golang.org/protobuf/proto", ""},
		{"engine/a.go", "github.com/someone/clever", "engine must not import github.com/someone/clever: the pure core takes no other modules"},
		{"partition/a.go", "github.com/cockroachdb/pebble/v2", ""},
		{"cluster/a.go", "github.com/hashicorp/raft", "cluster must not import github.com/hashicorp/raft: raftlog is the only room that knows Raft"},
		{"raftlog/a.go", "github.com/hashicorp/raft", ""},
		{"cluster/a.go", "github.com/hashicorp/raft-wal", ""},
	} {
		got := tree(t, fmt.Sprintf("%s\npackage p\nimport _ %q\n", c.importer, c.target)).checkImports()
		if c.refused == "" {
			expect(t, got)
		} else {
			expect(t, got, c.importer+":2: "+c.refused)
		}
	}
}

func TestPackageWithoutFloor(t *testing.T) {
	expect(t, tree(t, "util/a.go\npackage util\n", "util/b.go\npackage util\n").checkImports(),
		"util: the package stands on no floor; add it to the table in internal/lint/imports.go")
}

func TestPureCore(t *testing.T) {
	const impure = `
package p

import (
	clock "time"
	"sync"
	"math/rand/v2"
)

var mu sync.Mutex

func f(time struct{ Now int }) clock.Time {
	_ = time.Now
	_ = clock.Second
	go func() { clock.Sleep(clock.Duration(rand.Int())) }()
	return clock.Now()
}
`
	expect(t, tree(t, "engine/a.go"+impure).checkPureCore(),
		"engine/a.go:5: the pure core must not import sync: it has one owner",
		"engine/a.go:6: the pure core must not import math/rand/v2: randomness comes in as a value",
		"engine/a.go:14: the pure core must not start goroutines",
		"engine/a.go:14: the pure core must not use time.Sleep: time comes in as a value",
		"engine/a.go:15: the pure core must not use time.Now: time comes in as a value",
	)
	expect(t, tree(t, "partition/a.go\npackage p\nimport . \"time\"\n").checkPureCore(),
		"partition/a.go: the pure core must not import package time with a dot: calls of the clock could not be seen")
	for _, allowed := range []string{"partition/leader/a.go", "engine/a_test.go", "cluster/a.go"} {
		expect(t, tree(t, allowed+impure).checkPureCore())
	}
}

func TestDocs(t *testing.T) {
	expect(t, tree(t,
		"history/doc.go\n// Package history is here.\npackage history\n",
		"history/a.go\npackage history\n",
		"engine/a.go\n// Package engine hides its comment.\npackage engine\n",
		"partition/doc.go\n// This package is named wrongly.\npackage partition\n",
		"cmd/reprise/doc.go\n// Command reprise\n// runs.\npackage main\n",
		"bench/doc.go\npackage bench\n",
	).checkDocs(),
		`bench/doc.go:1: the package comment must begin with "Package bench"`,
		"engine/a.go:1: the package comment belongs into doc.go (or put an empty line before the package clause)",
		`partition/doc.go:1: the package comment must begin with "Package partition"`,
		"engine: the package has no doc.go",
	)
}

func TestSizeAndUnfinishedWords(t *testing.T) {
	long := strings.Repeat("\n", maxLines)
	word := "TO" + "DO"
	got := tree(t,
		"history/a.go\npackage p\n"+long,
		"history/b.go\n// Code generated by x. DO NOT EDIT.\npackage p\n// "+word+"\n"+long,
		"history/c.go\npackage p\n\n// "+word+": later\nvar "+word+" = \""+word+"\" // a mastodon\n",
	)
	expect(t, got.checkSize(), "history/a.go: 601 lines; a file is a room of one purpose and has at most 600")
	expect(t, got.checkUnfinished(), "history/c.go:3: a comment says "+word+": do it, or open an issue")
}

func TestLoadSkipsWhatTheGoCommandSkips(t *testing.T) {
	got := load(t, fstest.MapFS{
		"go.mod":                {Data: []byte("module m\n")},
		"history/testdata/a.go": {Data: []byte("not Go")},
		".hidden/a.go":          {Data: []byte("not Go")},
		"_old/a.go":             {Data: []byte("not Go")},
		"history/a.go":          {Data: []byte("package p\n")},
	})
	if len(got.files) != 1 {
		t.Errorf("%d files, want the one in history", len(got.files))
	}
	if _, err := Load(fstest.MapFS{"go.mod": {Data: []byte("module m\n")}, "a.go": {Data: []byte("package")}}); err == nil {
		t.Error("a file that does not parse is no error")
	}
}
