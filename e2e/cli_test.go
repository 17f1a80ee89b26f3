package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// instance is what the tests read of "status -o json".
type instance struct {
	Name          string   `json:"name"`
	InstanceID    string   `json:"instanceId"`
	RuntimeStatus string   `json:"runtimeStatus"`
	Output        any      `json:"output"`
	Waiting       []string `json:"waiting"`
	Parked        string   `json:"parked"`
}

// TestCommands: what each command prints, and with which code it ends, on one
// node alone.
func TestCommands(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", "--samples")
	n.start(t)
	c := n.client()

	c.run(t, "start", "hello", "--input", `["Tokyo","Seattle"]`, "--wait").want(t, 0, `["Hello, Tokyo!","Hello, Seattle!"]`+"\n")
	c.run(t, "start", "hello", "--id", "order-42", "--input", `["Tokyo"]`).want(t, 0, "order-42\n")
	c.run(t, "wait", "order-42").want(t, 0, `["Hello, Tokyo!"]`+"\n")
	if o := c.run(t, "start", "hello", "--input", `[]`); o.code != 0 || !regexp.MustCompile(`^[0-9a-f]{32}\n$`).MatchString(o.stdout) {
		t.Errorf("start without --id: %+v", o)
	}
	if in := ask[instance](t, c, "status", "order-42"); in.RuntimeStatus != "Completed" || in.InstanceID != "order-42" || in.Name != "hello" {
		t.Errorf("status: %+v", in)
	}
	o := c.run(t, "status", "order-42")
	for _, line := range []string{`ID +order-42`, `Name +hello`, `Status +Completed`, `Input +\["Tokyo"\]`, `Output +\["Hello, Tokyo!"\]`} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(o.stdout) {
			t.Errorf("status has no line %q:\n%s", line, o.stdout)
		}
	}
	o = c.run(t, "history", "order-42")
	for _, event := range []string{`ExecutionStarted "hello"`, `#0 TaskScheduled "hello.greet"`, `TaskCompleted of=#0`, `ExecutionCompleted Completed`} {
		if o.code != 0 || !strings.Contains(o.stdout, event) {
			t.Errorf("history has no %q (exit code %d):\n%s", event, o.code, o.stdout)
		}
	}
	if events := ask[[]struct{ Type string }](t, c, "history", "order-42"); len(events) != 6 || events[5].Type != "ExecutionCompleted" {
		t.Errorf("history as JSON: %+v", events)
	}
	if o := c.run(t, "watch", "order-42"); o.code != 0 || !regexp.MustCompile(`^\d{4}-\S+ \S+  Completed  output \["Hello, Tokyo!"\]\n$`).MatchString(o.stdout) {
		t.Errorf("watch: %+v", o)
	}
	o = c.run(t, "cluster")
	for _, line := range []string{`n1 +alive +` + n.api, `system +- +n1 +\d+ +n1 \(\d+\)`, `12 +\d+-4095 +n1 +\d+ +n1 \(\d+\)`} {
		if o.code != 0 || !regexp.MustCompile(`(?m)^`+line).MatchString(o.stdout) {
			t.Errorf("cluster has no line %q (exit code %d):\n%s", line, o.code, o.stdout)
		}
	}

	t.Run("input", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "names.json")
		write(t, file, `["Kyōto"]`)
		c.run(t, "start", "hello", "--input", "@"+file, "--wait").want(t, 0, `["Hello, Kyōto!"]`+"\n")
		command{env: c.env, stdin: strings.NewReader(`["Nara"]`)}.run(t, "start", "hello", "--input", "-", "--wait").want(t, 0, `["Hello, Nara!"]`+"\n")
		large := filepath.Join(t.TempDir(), "large.json")
		write(t, large, `"`+strings.Repeat("x", history.MaxPayloadBytes)+`"`)
		c.run(t, "start", "hello", "--input", "{bad").want(t, 2, "", "--input is not JSON")
		c.run(t, "start", "hello", "--input", "@"+large).want(t, 5, "", large, "payload is too large", fmt.Sprint(history.MaxPayloadBytes))
		c.run(t, "start", "hello", "--input", "@"+large+".none").want(t, 2, "", "no such file")
		// The largest that is allowed comes back whole.
		fits := filepath.Join(t.TempDir(), "fits.json")
		write(t, fits, `["`+strings.Repeat("x", history.MaxPayloadBytes-4)+`"]`)
		c.run(t, "start", "nobody", "--id", "fits", "--input", "@"+fits).want(t, 0, "fits\n")
		if o := c.run(t, "status", "fits", "-o", "json"); o.code != 0 || len(o.stdout) < history.MaxPayloadBytes {
			t.Errorf("status of a large input: exit code %d, %d bytes\n%s", o.code, len(o.stdout), o.stderr)
		}
	})
	t.Run("wordcount", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a"), "The cat, the DOG; x2y")
		write(t, filepath.Join(dir, "b"), "cat")
		if err := os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		c.run(t, "start", "wordcount", "--input", fmt.Sprintf(`{"dir":%q,"top":3}`, dir), "--wait").want(t, 0,
			`{"files":2,"words":7,"top":[{"word":"cat","count":2},{"word":"the","count":2},{"word":"dog","count":1}]}`+"\n")
	})
	t.Run("failed", func(t *testing.T) {
		c.run(t, "start", "hello", "--id", "wrong", "--input", `"no list"`, "--wait").want(t, 1, "", `"wrong" is Failed`, "hello")
		c.run(t, "wait", "wrong").want(t, 1, "", "Failed")
	})
	t.Run("terminated", func(t *testing.T) {
		c.run(t, "start", "nobody", "--id", "idle").want(t, 0, "idle\n")
		c.run(t, "wait", "idle", "--timeout", "200ms").want(t, 6, "", "200ms")
		c.run(t, "start", "nobody", "--id", "idle").want(t, 5, "", "idle", "exists")
		c.run(t, "terminate", "idle", "--reason", "no use").want(t, 0, "")
		c.run(t, "wait", "idle").want(t, 1, "", "Terminated", "no use")
		if o := c.run(t, "watch", "idle", "-o", "json"); o.code != 1 || !strings.Contains(o.stdout, `"runtimeStatus":"Terminated"`) || strings.Count(o.stdout, "\n") != 1 {
			t.Errorf("watch: %+v", o)
		}
		c.run(t, "terminate", "idle").want(t, 0, "") // it has ended: stays as it is
		if in := ask[instance](t, c, "status", "idle"); in.RuntimeStatus != "Terminated" || in.Output != "no use" {
			t.Errorf("status: %+v", in)
		}
		c.run(t, "start", "hello", "--id", "idle", "--input", "[]", "--wait").want(t, 0, "[]\n") // the ID is free again
	})
	t.Run("not found", func(t *testing.T) {
		for _, name := range []string{"status", "history", "wait", "watch", "terminate"} {
			c.run(t, name, "nothing").want(t, 3, "", "nothing", "no such instance")
		}
		c.run(t, "status", "order-42", "--task-hub", "other").want(t, 3, "", "no such instance")
	})
	t.Run("IDs", func(t *testing.T) {
		c.run(t, "start", "hello", "--input", "[]", "--id", strings.Repeat("é", 128), "--wait").want(t, 0, "[]\n")
		for id, why := range map[string]string{
			"":                       "is empty",
			strings.Repeat("x", 257): "257 bytes",
			"@counter@a":             "begins with @",
			"a/b":                    "'/'", `a\b`: `'\\'`, "a#b": "'#'", "a?b": "'?'",
			"a\nb": "control character", "a\u0085b": "control character", "a\xffb": "not valid UTF-8",
		} {
			c.run(t, "start", "hello", "--id="+id).want(t, 2, "", why)
			c.run(t, "status", "--", id).want(t, 2, "", why)
		}
	})
	t.Run("command lines", func(t *testing.T) {
		for _, args := range []string{
			"frobnicate", "start", "start a b", "status", "wait a b", "cluster x", "start hello --frobnicate", "server --frobnicate",
			"status a -o xml", "wait a --timeout soon", "wait a --timeout=-1s", "up --nodes 0", "up --nodes 10", "up --port 0", "demo --dir " + n.dir + "/none",
		} {
			c.run(t, strings.Fields(args)...).want(t, 2, "", "reprise: ")
		}
		command{env: append(c.env, "REPRISE_TIMEOUT=soon")}.run(t, "cluster").want(t, 2, "", "REPRISE_TIMEOUT")
	})
	t.Run("several addresses", func(t *testing.T) {
		dead := newNode(t, "dead").api
		c.run(t, "wait", "order-42", "--address", dead+","+n.api).want(t, 0, `["Hello, Tokyo!"]`+"\n")
	})

	n.stop(t)
	if want := fmt.Sprintf("reprise: node n1 serves on %s\n", n.api); n.stdout != want {
		t.Errorf("the node printed %q, want %q", n.stdout, want)
	}
	n.start(t) // where it was
	c.run(t, "wait", "order-42").want(t, 0, `["Hello, Tokyo!"]`+"\n")
	n.kill(t)
	n.start(t)
	c.run(t, "wait", "order-42").want(t, 0, `["Hello, Tokyo!"]`+"\n")
}

// TestUnreachable: no node answers, for as long as the program tries by itself and
// for less.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	c := newNode(t, "dead").client()
	c.run(t, "status", "a", "--timeout", "300ms").want(t, 4, "", "cluster not reachable", "300ms")
	c.run(t, "cluster").want(t, 4, "", "cluster not reachable for", "connection refused")
}

// TestSettings: flags, environment and file, and what is refused.
func TestSettings(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1")
	file := filepath.Join(t.TempDir(), "node.yaml")
	write(t, file, fmt.Sprintf("name: n1\ndata-dir: %s\npartitions: 3\nsamples: true\npeer-addr: %s\ngossip-addr: %s\napi-addr: 127.0.0.1:1\n", n.dir, n.peer, n.gossip))
	n.env = []string{"REPRISE_CONFIG=" + file, "REPRISE_API_ADDR=" + n.api, "REPRISE_PARTITIONS=4"}
	n.spawn(t, "server", "--partitions", "5")
	n.ready(t)
	n.client().run(t, "start", "hello", "--input", `["Uji"]`, "--wait").want(t, 0, `["Hello, Uji!"]`+"\n")
	var partitions int
	for _, p := range ask[description](t, n.client(), "cluster").Partitions {
		if p.ID != 0 {
			partitions++
		}
	}
	if partitions != 5 {
		t.Errorf("%d partitions, want the command line's 5", partitions)
	}
	n.stop(t)

	server := command{env: []string{"REPRISE_DATA_DIR=" + n.dir, "REPRISE_NAME=n1"}}
	write(t, file, "partitions: 3\nnmae: n1\n")
	server.run(t, "server", "--config", file).want(t, 2, "", file, "line 2", `no setting "nmae"`)
	write(t, file, "partitions: [")
	server.run(t, "server", "--config", file).want(t, 2, "", file)
	command{}.run(t, "server").want(t, 2, "", "--name", "--data-dir")
	command{env: append(server.env, "REPRISE_PARTITIONS=many")}.run(t, "server").want(t, 2, "", "REPRISE_PARTITIONS")
	server.run(t, "server", "--partitions", "65").want(t, 2, "", "65 partitions", "1 to 64")
	for _, flag := range []string{"--api-addr", "--peer-addr", "--gossip-addr", "--http"} {
		server.run(t, "server", flag, "0.0.0.0:0").want(t, 2, "", "0.0.0.0:0 is not loopback", "TLS", "gossip key", "--insecure")
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
