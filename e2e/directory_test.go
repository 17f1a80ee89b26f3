package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestAddressesInUse: each of a node's three addresses is had by another node.
func TestAddressesInUse(t *testing.T) {
	t.Parallel()
	first := newNode(t, "n1")
	first.start(t)
	for _, c := range []struct {
		what string
		take func(*node)
	}{
		{"API address " + first.api, func(n *node) { n.api = first.api }},
		{"peer address " + first.peer, func(n *node) { n.peer = first.peer }},
		{"gossip address " + first.gossip, func(n *node) { n.gossip = first.gossip }},
	} {
		n := newNode(t, "n2")
		c.take(n)
		n.refused(t, 2, c.what, "address already in use", "choose another")
	}
	// And its directory.
	n := newNode(t, "n1")
	n.dir = first.dir
	n.refused(t, 7, first.dir, "in use by another process", "stop that process")
	first.client().run(t, "cluster")
	first.stop(t)
	n.start(t) // on other addresses, now that it is free
}

// TestDirectoriesRefused: what is wrong with a directory is said, with where and
// what to do; nothing in it is changed.
func TestDirectoriesRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", "--samples")
	n.start(t)
	for range 8 {
		n.client().run(t, "start", "hello", "--input", `["a"]`, "--wait").want(t, 0, `["Hello, a!"]`+"\n")
	}
	n.kill(t)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		says  []string
	}{
		{"log", func(t *testing.T, dir string) { flip(t, dir, "raft/log/*.log", 3) }, []string{"log store", "corrupt", "move the data directory away", "backup"}},
		{"log manifest", func(t *testing.T, dir string) { flip(t, dir, "raft/log/MANIFEST-*", 3) }, []string{"log store", "corrupt", "MANIFEST", "move the data directory away"}},
		{"state manifest", func(t *testing.T, dir string) { flip(t, dir, "raft/state/MANIFEST-*", 3) }, []string{"state store", "corrupt", "move the data directory away"}},
		{"node file", func(t *testing.T, dir string) { flip(t, dir, "node", 3) }, []string{"node", "damaged", "move the data directory away"}},
		{"no node file", func(t *testing.T, dir string) { remove(t, dir, "node") }, []string{`no file "node"`, "restore the file"}},
		{"no log", func(t *testing.T, dir string) { remove(t, dir, "raft/log") }, []string{"the only one", "backup"}},
		{"no stores", func(t *testing.T, dir string) { remove(t, dir, "raft") }, []string{"no other node has a copy", "backup"}},
		{"newer node file", func(t *testing.T, dir string) { replace(t, dir, "node", "reprise node 1 ", "reprise node 2 ") }, []string{"newer format", "format 2", "run the program that wrote it"}},
		{"newer store", func(t *testing.T, dir string) {
			marker := match(t, dir, "raft/log/marker.format-version.*")
			if err := os.Rename(marker, marker[:strings.LastIndexByte(marker, '.')]+".999"); err != nil {
				t.Fatal(err)
			}
		}, []string{"newer format", "run the program that wrote it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spoilt := newNode(t, "n1")
			if err := os.CopyFS(spoilt.dir, os.DirFS(n.dir)); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, spoilt.dir)
			for range 2 { // the second start is refused, too
				spoilt.refused(t, 7, append(c.says, spoilt.dir)...)
			}
		})
	}
	t.Run("another node's", func(t *testing.T) {
		other := newNode(t, "n2")
		other.dir = n.dir
		other.refused(t, 7, n.dir, "it is n1's", "this node is n2", "another directory")
	})
	t.Run("not a directory", func(t *testing.T) {
		file := newNode(t, "n1")
		write(t, file.dir, "text")
		file.refused(t, 7, file.dir, "not writable")
		file.dir += "/below"
		file.refused(t, 7, file.dir, "not writable")
	})
	t.Run("not writable", func(t *testing.T) {
		locked := newNode(t, "n1")
		switch {
		case os.Geteuid() != 0:
			if err := os.Mkdir(locked.dir, 0o555); err != nil {
				t.Fatal(err)
			}
		case runtime.GOOS == "linux":
			locked.dir = "/proc/sys" // not even root makes files there
		default:
			t.Skip("NOT TESTED: root may write to every directory; run this test as another user")
		}
		locked.refused(t, 7, locked.dir, "not writable")
	})
	n.start(t) // the original is whole
}

// match returns the one file of a pattern.
func match(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files[0]
}

// flip inverts four bytes at a part of a file.
func flip(t *testing.T, dir, pattern string, part int) {
	t.Helper()
	file := match(t, dir, pattern)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		b[len(b)/part+i] ^= 0xff
	}
	write(t, file, string(b))
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, dir, name, old, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %q: %v", file, old, err)
	}
	write(t, file, strings.Replace(string(b), old, text, 1))
}
