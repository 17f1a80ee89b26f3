package raftlog

import (
	"testing"
	"testing/synctest"
)

// A question about a lost leader that meets the end of this host is not answered from
// a log that is closed.
func TestQuestionAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		leader, _ := c.reign(1)
		other := c.nodes["a"]
		if other == leader {
			other = c.nodes["b"]
		}
		inc := other.group[1].incarnation() // as its handler found it, just before the end
		other.stop()
		if inc.spawn(func() { inc.sayLost(leader.group[1].Server(), 1) }) {
			t.Error("a stopped replica looks into its log")
		}
	})
}
