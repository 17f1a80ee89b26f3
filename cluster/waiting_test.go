package cluster

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
)

// wantWarnings demands so many warnings of a node, all of them like the pattern.
func (w *testWorld) wantWarnings(count int, node, pattern string) {
	w.t.Helper()
	found := 0
	for _, line := range strings.Split(w.logged(), "\n") {
		if !strings.Contains(line, "level=WARN") && !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "node="+node+" ") {
			continue
		}
		found++
		if !regexp.MustCompile(pattern).MatchString(line) {
			w.t.Errorf("%s warns %q, want %q", node, line, pattern)
		}
	}
	if found != count {
		w.t.Errorf("%s warns %d times, want %d, of %q", node, found, count, pattern)
	}
}

// TestSaysWhatItWaitsFor: a node that does not serve says why, after ten seconds
// and then every minute.
func TestSaysWhatItWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 3)
		w.start("b", 3)
		time.Sleep(8 * time.Second)
		w.wantWarnings(0, "a", "")
		time.Sleep(10 * time.Second)
		w.wantWarnings(1, "a", `belongs to no cluster yet.*sees="\[a b\]".*why="it sees 2 of 3 nodes"`)
		time.Sleep(3 * time.Minute)
		w.wantWarnings(3, "b", `belongs to no cluster yet`)

		// The third one can be seen, and not be reached.
		w.network.Isolate([]peer.NodeID{"a", "b"}, []peer.NodeID{"c"})
		w.start("c", 3)
		time.Sleep(2 * time.Minute)
		w.wantWarnings(2, "a", `belongs to no cluster yet.*sees="\[a b c\]".*why="ask c for cluster/candidates: `)
		w.network.Heal()
		w.ready()
		w.wantWarnings(0, "a", "")

		w.crash("b")
		w.crash("c")
		time.Sleep(25 * time.Second)
		w.wantWarnings(1, "a", `GROUPS HAVE NO LEADER.*where="groups 0-4" missing="b does not answer, c does not answer"`)
		w.start("c", 3)
		w.ready()
		time.Sleep(10 * time.Second)
		if logs := w.logged(); !strings.Contains(logs, "waits no more") {
			t.Errorf("a does not say that it serves again:\n%s", logs)
		}
	})
}

// TestSaysThatTheFoundingWaits: a node agreed, and its proposer is gone.
func TestSaysThatTheFoundingWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.foundUntil(func(_, b, _ nodeRecord) bool { return b.Founding != nil })
		w.crash("a")
		w.logged()
		time.Sleep(20 * time.Second)
		w.wantWarnings(1, "b", `founding of the cluster waits.*proposer=a why=".*has not heard from a`)
		w.start("a", 3)
		w.oneCluster()
	})
}
