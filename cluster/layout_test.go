package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
)

func names(list string) []peer.NodeID {
	var ids []peer.NodeID
	for _, n := range strings.Fields(list) {
		ids = append(ids, peer.NodeID(n))
	}
	return ids
}

// show prints placements as "replicas>leader", one a group.
func show(placed []placement) string {
	var out []string
	for _, p := range placed {
		s := ""
		for _, r := range p.Replicas {
			s += string(r)
		}
		out = append(out, s+">"+string(p.Preferred))
	}
	return strings.Join(out, " ")
}

func parse(s string) []placement {
	var placed []placement
	for _, f := range strings.Fields(s) {
		replicas, leader, _ := strings.Cut(f, ">")
		p := placement{Preferred: peer.NodeID(leader)}
		for _, r := range replicas {
			p.Replicas = append(p.Replicas, peer.NodeID(r))
		}
		placed = append(placed, p)
	}
	return placed
}

func TestPlace(t *testing.T) {
	cases := []struct{ name, nodes, current, want string }{
		{"one node", "a", "> >", "a>a a>a"},
		{"two nodes", "a b", "> > >", "ab>a ab>b ab>a"},
		{"three nodes", "a b c", "> > > >", "abc>a abc>b abc>c abc>a"},
		{"four nodes spread", "a b c d", "> > > >", "abc>a abd>b acd>c bcd>d"},
		{"nothing to do", "a b c", "abc>c abc>b abc>a", "abc>c abc>b abc>a"},
		{"a node fewer", "a b d", "abc>a abd>b acd>c bcd>d", "abd>a abd>b abd>a abd>d"},
		{"too many replicas", "a b c d", "abcd>a", "abc>a"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := show(place(names(c.nodes), parse(c.current))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// spread returns the least and the greatest number of replicas and of
// leaderships a node.
func spread(nodes []peer.NodeID, placed []placement) (replicas, leads [2]int) {
	r, l := map[peer.NodeID]int{}, map[peer.NodeID]int{}
	for _, p := range placed {
		for _, n := range p.Replicas {
			r[n]++
		}
		l[p.Preferred]++
	}
	bounds := func(m map[peer.NodeID]int) [2]int {
		b := [2]int{1 << 30, 0}
		for _, n := range nodes {
			b[0], b[1] = min(b[0], m[n]), max(b[1], m[n])
		}
		return b
	}
	return bounds(r), bounds(l)
}

// A cluster grows node by node and loses one: everything stays even, and no more
// replicas move than must.
func TestPlaceStaysEvenAndMovesLittle(t *testing.T) {
	for _, groups := range []int{1, 7, 12, 64} {
		var nodes []peer.NodeID
		placed := make([]placement, groups)
		for n := 1; n <= 7; n++ {
			nodes = append(nodes, peer.NodeID(fmt.Sprintf("n%d", n)))
			before := placed
			placed = place(nodes, before)
			want := min(n, replication)
			moved := 0
			for i, p := range placed {
				if len(p.Replicas) != want || !slices.Contains(p.Replicas, p.Preferred) {
					t.Fatalf("%d nodes, group %d: %v", n, i, p)
				}
				if u := slices.Compact(slices.Clone(p.Replicas)); len(u) != want {
					t.Fatalf("two replicas on one node: %v", p)
				}
				moved += len(except(before[i].Replicas, p.Replicas))
			}
			replicas, leads := spread(nodes, placed)
			if replicas[1]-replicas[0] > 1 || leads[1]-leads[0] > 1 {
				t.Errorf("%d groups on %d nodes: replicas %v, leaders %v: %s", groups, n, replicas, leads, show(placed))
			}
			if limit := (groups*want + n - 1) / n; moved > limit {
				t.Errorf("%d groups, node %d: %d replicas moved, %d would do", groups, n, moved, limit)
			}
			if again := place(nodes, placed); show(again) != show(placed) {
				t.Errorf("not stable:\n%s\n%s", show(placed), show(again))
			}
		}
		nodes = nodes[1:]
		placed = place(nodes, placed)
		if replicas, _ := spread(nodes, placed); replicas[1]-replicas[0] > 1 {
			t.Errorf("after a loss: %v", replicas)
		}
	}
}

func TestLayout(t *testing.T) {
	for _, partitions := range []int{1, 3, 12, 64} {
		l := foundLayout("c", []layoutNode{{Name: "a"}}, partitions)
		if err := l.check(); err != nil {
			t.Fatal(err)
		}
		if first, last := l.partitionOf(0), l.partitionOf(history.Slots-1); first != 1 || last != uint32(partitions) {
			t.Errorf("%d partitions: first slot in %d, last in %d", partitions, first, last)
		}
		same := l.withNode(layoutNode{Name: "a"})
		grown := l.withNode(layoutNode{Name: "b", PeerAddr: "x:1"})
		if same != l || grown.Version != 2 || len(l.Nodes) != 1 || len(l.Partitions[0].Replicas) != 1 {
			t.Errorf("withNode changed what it should not")
		}
		again, err := decodeLayout(grown.encode())
		if err != nil {
			t.Fatal(err)
		}
		if string(again.encode()) != string(grown.encode()) {
			t.Error("layout changed by coding")
		}
	}
}

func TestLayoutCheck(t *testing.T) {
	cases := []struct {
		name   string
		damage func(*layout)
	}{
		{"slot twice", func(l *layout) { l.Partitions[0].Slots[0].Last++ }},
		{"slot to nobody", func(l *layout) { l.Partitions[0].Slots[0].Last-- }},
		{"no replicas", func(l *layout) { l.Partitions[1].Replicas = nil }},
		{"stranger", func(l *layout) { l.System = placement{names("z"), "z"} }},
		{"leader elsewhere", func(l *layout) { l.System.Preferred = "b" }},
		{"format", func(l *layout) { l.FormatLevel++ }},
	}
	for _, c := range cases {
		l := foundLayout("c", []layoutNode{{Name: "a"}}, 2)
		c.damage(l)
		if _, err := decodeLayout(l.encode()); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}
