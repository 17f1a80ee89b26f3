package cluster

import (
	"testing"
	"time"
)

func TestAgreedClock(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		ahead  []time.Duration
		nodes  int
		median time.Duration
		agreed bool
	}{
		"two clocks":                   {[]time.Duration{0, 5 * s}, 3, 0, false},
		"all right":                    {[]time.Duration{0, s / 2, -s / 2}, 3, 0, true},
		"own is wrong":                 {[]time.Duration{0, 60 * s, 60*s + s/10}, 3, 60 * s, true},
		"another is wrong":             {[]time.Duration{0, s / 10, -3600 * s}, 3, 0, true},
		"all differ":                   {[]time.Duration{0, 60 * s, -60 * s}, 3, 0, false},
		"three of five, two wrong":     {[]time.Duration{0, 60 * s, 60 * s}, 5, 60 * s, false},
		"four of five, one wrong":      {[]time.Duration{0, 60 * s, 60 * s, 60 * s}, 5, 60 * s, true},
		"two against two":              {[]time.Duration{0, 0, 60 * s, 60 * s}, 4, 60 * s, false},
		"three of five agree":          {[]time.Duration{0, 0, 0, 60 * s, -60 * s}, 5, 0, true},
		"nodes that left the layout":   {[]time.Duration{0, 0, 60 * s, -60 * s}, 3, 0, false},
		"drifted apart, still in line": {[]time.Duration{0, 9 * s / 10, 18 * s / 10}, 3, 9 * s / 10, true},
	} {
		median, agreed := agreedClock(c.ahead, c.nodes)
		if agreed != c.agreed || agreed && median != c.median {
			t.Errorf("%s: %v, %v; want %v, %v", name, median, agreed, c.median, c.agreed)
		}
	}
}

// leads returns how many partitions each node leads, without the system group.
func leads(d Description) map[string]int {
	count := make(map[string]int)
	for _, p := range d.Partitions {
		if p.ID != systemGroup {
			count[p.Leader]++
		}
	}
	return count
}

// TestWrongClockLeadsNothing: a node whose clock is wrong gives its partitions to
// others, does not get them back, and gets them when its clock is right again.
func TestWrongClockLeadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["b"], "leaders are spread", spreadAsPreferred)
		w.setClock("a", time.Hour)
		w.eventually(w.nodes["b"], "a leads nothing", func(d Description) bool { return leads(d)["a"] == 0 && leads(d)[""] == 0 })
		for range 60 {
			time.Sleep(time.Second)
			if d, err := w.nodes["b"].Describe(t.Context()); err != nil || leads(d)["a"] > 0 {
				t.Fatalf("a leads with a wrong clock: %v, %v", leads(d), err)
			}
		}
		d, err := w.nodes["c"].Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range d.Nodes {
			off := (n.ClockAhead - time.Hour).Abs() < time.Second
			if wrong := n.Name == "a"; n.ClockWrong != wrong || off != wrong {
				t.Errorf("%s is ahead by %v, wrong: %v", n.Name, n.ClockAhead, n.ClockWrong)
			}
		}
		w.setClock("a", 0)
		w.eventually(w.nodes["b"], "leaders are spread again", spreadAsPreferred)
	})
}

// TestClocksWithoutMajority: where most clocks are wrong, nobody knows who is
// right, and nothing moves.
func TestClocksWithoutMajority(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		before := w.eventually(w.nodes["b"], "leaders are spread", spreadAsPreferred)
		w.setClock("a", time.Hour)
		w.setClock("b", -time.Hour)
		time.Sleep(time.Minute) // a dozen comparisons of clocks
		after, err := w.nodes["c"].Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range after.Partitions {
			if p.Epoch != before.Partitions[i].Epoch {
				t.Errorf("partition %d changed its leader: %s, then %s", p.ID, before.Partitions[i].Leader, p.Leader)
			}
		}
	})
}
