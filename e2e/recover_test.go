package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// level says whether every voter of every partition has applied the same.
func (d description) level() bool {
	for _, p := range d.Partitions {
		for _, r := range p.Replicas {
			if !r.Reachable || r.AppliedIndex != p.Replicas[0].AppliedIndex {
				return false
			}
		}
	}
	return true
}

// TestRecover: two of three nodes lose their disks and come back blank. Everything
// stays down and says so, until the third one is recovered; then what it had is
// there, and the two others get new replicas.
func TestRecover(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	nodes := []*node{newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n3")}
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	join := []string{"--samples", "--join", n1.gossip + "," + n2.gossip + "," + n3.gossip}
	for _, n := range nodes {
		n.more = append([]string{"--bootstrap-expect", "3", "--partitions", "3"}, join...)
		n.launch(t)
	}
	for _, n := range nodes {
		n.ready(t)
	}
	eventually(t, "all three nodes vote", func() bool { return ask[description](t, n1.client(), "cluster").settled(3) })
	const ended, waiting = 5, 2
	for i := range ended {
		n1.client().run(t, "start", "hello", "--id", fmt.Sprintf("ended-%d", i), "--input", fmt.Sprintf(`["%d"]`, i), "--wait").
			want(t, 0, fmt.Sprintf("[\"Hello, %d!\"]\n", i))
	}
	for i := range waiting {
		id := fmt.Sprintf("waiting-%d", i)
		n1.client().run(t, "start", "nobody", "--id", id).want(t, 0, id+"\n")
	}
	// What two of three have acknowledged need not be on n1 in the same moment.
	eventually(t, "n1 has what was acknowledged", func() bool { return ask[description](t, n1.client(), "cluster").level() })

	for _, n := range []*node{n2, n3} {
		n.kill(t)
	}
	for _, n := range []*node{n2, n3} {
		if err := os.RemoveAll(n.dir); err != nil {
			t.Fatal(err)
		}
		n.more = join
		n.launch(t)
	}
	eventually(t, "n1 logs that nothing leads, and why", func() bool {
		log := n1.stderr.String()
		return strings.Contains(log, "GROUPS HAVE NO LEADER") && strings.Contains(log, "reprise recover --help") && strings.Contains(log, "runs without its replica")
	})
	o := n1.client().run(t, "cluster")
	for _, text := range []string{"DOWN: system, 1, 2, 3.", "(runs without its replicas", "reprise recover --help"} {
		if o.code != 0 || !strings.Contains(o.stdout, text) {
			t.Errorf("the survivor does not show %q:\n%s%s", text, o.stdout, o.stderr)
		}
	}
	if o := n1.client().run(t, "start", "hello", "--id", "too-early", "--timeout", "500ms"); o.code != 6 && o.code != 4 {
		t.Errorf("a start without a leader: %+v", o)
	}

	dir := []string{"--data-dir", n1.dir}
	recoverArgs := func(more ...string) []string { return append(append([]string{"recover"}, dir...), more...) }
	c := command{}
	c.run(t, recoverArgs("--lost", "n2,n3")...).want(t, 7, "", "in use by another process")
	n1.stop(t)
	report := c.run(t, append([]string{"recover", "inspect", "-o", "json"}, dir...)...)
	file := filepath.Join(t.TempDir(), "n1.json")
	if err := os.WriteFile(file, []byte(report.stdout), 0o644); err != nil || report.code != 0 {
		t.Fatal(err, report.code, report.stderr)
	}
	if o := c.run(t, append([]string{"recover", "inspect"}, dir...)...); o.code != 0 || !strings.Contains(o.stdout, "n1,n2,n3") {
		t.Errorf("inspect: %+v", o)
	}
	c.run(t, recoverArgs()...).want(t, 5, "", "it may have a majority with", "n3:")
	c.run(t, recoverArgs("--lost", "n2")...).want(t, 5, "", "it may have a majority with", "n3:")
	c.run(t, recoverArgs("--lost", "n2,n4")...).want(t, 2, "", `lost node "n4"`)
	c.run(t, recoverArgs("--lost", "n2,n3", "--report", file)...).want(t, 2, "", "n1 is shown twice")
	if o := c.run(t, recoverArgs("--lost", "n2,n3")...); o.code != 0 || !strings.Contains(o.stdout, "NOTHING WAS CHANGED") {
		t.Errorf("without --yes: %+v", o)
	}
	if o := c.run(t, recoverArgs("--lost", "n2,n3", "--yes")...); o.code != 0 || !strings.Contains(o.stdout, "DONE") || !strings.Contains(o.stdout, "What is lost: whatever n2, n3 acknowledged") {
		t.Fatalf("with --yes: %+v", o)
	}
	c.run(t, recoverArgs("--lost", "n2,n3", "--yes")...).want(t, 5, "", "groups 0-3: its only voter is intact: start that node")

	n1.start(t)
	for i := range ended {
		n1.client().run(t, "wait", fmt.Sprintf("ended-%d", i)).want(t, 0, fmt.Sprintf("[\"Hello, %d!\"]\n", i))
	}
	for i := range waiting {
		if in := ask[instance](t, n1.client(), "status", fmt.Sprintf("waiting-%d", i)); in.RuntimeStatus != "Pending" {
			t.Errorf("%s is %s, want Pending", in.InstanceID, in.RuntimeStatus)
		}
	}
	n1.client().run(t, "start", "hello", "--input", `["Oslo"]`, "--wait").want(t, 0, `["Hello, Oslo!"]`+"\n")
	n2.ready(t)
	n3.ready(t)
	eventually(t, "the lost nodes vote and lead again", func() bool { return ask[description](t, n2.client(), "cluster").settled(3) })
	n1.kill(t) // what was recovered is on all three now
	others := command{env: []string{"REPRISE_ADDRESS=" + n2.api + "," + n3.api}}
	for i := range ended {
		others.run(t, "wait", fmt.Sprintf("ended-%d", i)).want(t, 0, fmt.Sprintf("[\"Hello, %d!\"]\n", i))
	}
	others.run(t, "start", "hello", "--input", `["Bern"]`, "--wait").want(t, 0, `["Hello, Bern!"]`+"\n")
}
