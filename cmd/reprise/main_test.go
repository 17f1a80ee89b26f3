package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/cluster/server"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// outcome is what a run of the program left.
type outcome struct {
	code           int
	stdout, stderr string
}

func try(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// backend answers for the instances of the tests.
type backend struct {
	started        chan leader.StartRequest
	server.Started // the command executes nothing
	entityBackend
	asked
}

func (b *backend) instance(id history.InstanceID) (leader.Instance, error) {
	in := leader.Instance{
		Ref: leader.InstanceRef{Hub: "default", ID: id}, Name: "o", Execution: "0123",
		Created: time.Unix(1, 0), Updated: time.Unix(2, 0), Waiting: []string{"activity a, attempt 2"}, HistoryEvents: 4,
		Deadline: time.Unix(9, 0), CancelRequested: time.Unix(8, 0), CancelReason: "no more",
	}
	switch id {
	case "none":
		return in, leader.ErrNotFound
	case "failed":
		in.Status, in.Failure = history.Failed, &history.Failure{Message: "no stock"}
	case "panicked":
		in.Status = history.Failed
		in.Failure = &history.Failure{Type: history.FailurePanic, Message: "boom", Stack: "shop.fulfil\n\t/src/shop.go:12\nshop.run\n\t/src/shop.go:7\n"}
	case "live":
		in.Status = history.Running
	case "parked":
		in.Status, in.Parked = history.Running, "it does otherwise"
		in.Waiting = []string{"fitting code: it does otherwise", `event "go"`}
	case "canceled":
		in.Status = history.Canceled
	case "terminated":
		in.Status, in.Output = history.Terminated, history.Payload(`"enough"`)
	case "silent":
		in.Status = history.Completed
	default:
		in.Status, in.Output = history.Completed, history.Payload(`{"a": [1]}`)
	}
	return in, nil
}

func (b *backend) StartInstance(_ context.Context, r leader.StartRequest) (leader.StartAnswer, error) {
	if r.Instance.ID == "taken" {
		return leader.StartAnswer{}, leader.ErrExists
	}
	b.started <- r
	return leader.StartAnswer{Execution: r.Execution, Started: true}, nil
}

func (b *backend) Terminate(_ context.Context, r leader.TerminateRequest) error {
	_, err := b.instance(r.Instance.ID)
	return err
}

func (b *backend) Cancel(_ context.Context, r leader.CancelRequest) error {
	if err := history.ValidateReason(r.Reason); err != nil {
		return fmt.Errorf("%w: %w", leader.ErrInvalid, err)
	}
	_, err := b.instance(r.Instance.ID)
	return err
}

func (b *backend) Raise(_ context.Context, r leader.RaiseRequest) error {
	if r.Name == "flood" {
		return leader.ErrFull
	}
	_, err := b.instance(r.Instance.ID)
	return err
}

func (b *backend) Status(_ context.Context, r leader.StatusRequest) (leader.Instance, error) {
	return b.instance(r.Instance.ID)
}

func (b *backend) Wait(ctx context.Context, r leader.WaitRequest) (leader.Instance, error) {
	if r.Instance.ID == "endless" {
		<-ctx.Done()
		return leader.Instance{}, ctx.Err()
	}
	return b.instance(r.Instance.ID)
}

func (b *backend) History(_ context.Context, r leader.HistoryRequest) (leader.HistoryPage, error) {
	switch r.Instance.ID {
	case "none":
		return leader.HistoryPage{}, leader.ErrNotFound
	case "new":
		return leader.HistoryPage{}, nil
	}
	return leader.HistoryPage{Events: []history.Event{
		{ID: history.NoID, Time: time.Unix(1, 0), Body: history.OrchestratorStarted{}},
		{ID: 0, Time: time.Unix(1, 0), Body: &history.TaskScheduled{Name: "a", Input: history.Payload(`1`)}},
		{ID: 1, Time: time.Unix(1, 0), Body: &history.PatchApplied{Patch: "new"}},
		{ID: history.NoID, Time: time.Unix(1, 0), Body: &history.UpdateRequested{Request: "r1", Sent: time.Unix(1, 0).UTC(), Name: "price", Input: history.Payload(`7`)}},
		{ID: 2, Time: time.Unix(1, 0), Body: &history.UpdateCompleted{Request: "r1", Sent: time.Unix(1, 0).UTC(), Name: "price", Failure: &history.Failure{Message: "no", Code: "shop.no"}}},
	}}, nil
}

func (b *backend) Describe(context.Context) (cluster.Description, error) {
	return cluster.Description{
		ClusterID: "c", Self: "n1", Nodes: []cluster.NodeDescription{{Name: "n1", State: cluster.NodeAlive, ClockAhead: -90 * time.Second, ClockWrong: true, Orchestrations: []string{"o", "o@2.0"}, Activities: strings.Split(strings.Repeat("a ", 13)+"a", " "), Entities: []string{"account"}}},
		Partitions: []cluster.PartitionDescription{{ID: 1, Leader: "n1", Slots: []cluster.SlotRange{{First: 0, Last: 4095}},
			Replicas: []cluster.ReplicaDescription{{Node: "n1", Voter: true, Applied: 77, Reachable: true}}}},
	}, nil
}

// serve serves a backend on a port and names it in the environment.
func serve(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{started: make(chan leader.StartRequest, 16), entityBackend: entityBackend{make(chan leader.SignalRequest, 16)}}
	s := server.New(b, server.Config{Logger: slog.New(slog.DiscardHandler)})
	go func() { _ = s.Serve(l) }() // ends with Stop
	t.Cleanup(func() { s.Stop(t.Context()) })
	t.Setenv("REPRISE_ADDRESS", l.Addr().String())
	return b
}

func TestExitCodesAndOutput(t *testing.T) {
	serve(t)
	file := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(file, []byte(`{"b":2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, c := range []struct {
		args   string
		stdin  string
		code   int
		stdout string // all of it, where it is not empty
		stderr string // a part of it
	}{
		{args: "start o --id i", code: 0, stdout: "i\n"},
		{args: "start o --id i --wait", code: 0, stdout: "{\"a\": [1]}\n"},
		{args: "start o --id silent --wait", code: 0, stdout: "null\n"},
		{args: "start o --id i --input -", stdin: `[1]`, code: 0, stdout: "i\n"},
		{args: "start o --id i --input @" + file, code: 0, stdout: "i\n"},
		{args: "wait i", code: 0, stdout: "{\"a\": [1]}\n"},
		{args: "terminate i --reason enough", code: 0},

		{args: "start o --cancel-after -1s", code: 2, stderr: "must be above 0"},
		{args: "cancel i", code: 0},
		{args: "cancel i --reason changed-my-mind", code: 0},
		{args: "cancel", code: 2, stderr: "instance ID"},
		{args: "cancel a/b", code: 2, stderr: "none of / \\ # ? is allowed"},
		{args: "cancel none", code: 3},
		{args: "cancel i --reason " + strings.Repeat("x", 1025), code: 5, stderr: "at most 1024"},
		{args: "raise live approved", code: 0},
		{args: "raise live approved --data -", stdin: `{"ok":true}`, code: 0},
		{args: "raise i", code: 2, stderr: "name of an event"},
		{args: "raise a/b approved", code: 2, stderr: "none of / \\ # ? is allowed"},
		{args: "raise i approved --data {", code: 2, stderr: "--data is not JSON"},
		{args: "raise none approved", code: 3, stderr: "raise event"},
		{args: "raise i flood", code: 5, stderr: "not taken"},

		{args: "complete " + tokenOf("i"), code: 0},
		{args: "complete " + tokenOf("i") + " --data 7", code: 0},
		{args: "complete " + tokenOf("none"), code: 5, stderr: "not wanted any more"},
		{args: "complete i", code: 2, stderr: "not a token"},
		{args: "complete", code: 2, stderr: "want the token"},
		{args: "complete " + tokenOf("i") + " --data {", code: 2, stderr: "--data is not JSON"},
		{args: "fail " + tokenOf("i") + " --message no", code: 0},
		{args: "fail " + tokenOf("i"), code: 2, stderr: "--message"},
		{args: "fail " + tokenOf("none") + " --message no --final", code: 5},

		{args: "wait failed", code: 1, stderr: "no stock"},
		{args: "start o --id failed --wait", code: 1, stderr: "Failed"},
		{args: "wait canceled", code: 1, stderr: "Canceled"},
		{args: "wait terminated", code: 1, stderr: "enough"},

		{args: "frobnicate", code: 2, stderr: "unknown command"},
		{args: "statsu i --id x", code: 2, stderr: "Did you mean this?\n\tstatus"},
		{args: "--address 127.0.0.1:1 statsu i", code: 2, stderr: `unknown command "statsu"`},
		{args: "start", code: 2, stderr: "want the name of one orchestration"},
		{args: "start o --frobnicate", code: 2, stderr: "unknown flag: --frobnicate\nRun \"reprise help start\" for what it takes."},
		{args: "recover inspect --frobnicate", code: 2, stderr: `Run "reprise help recover inspect"`},
		{args: "start o --timeout soon", code: 2, stderr: "soon"},
		{args: "start o --timeout -1s", code: 2, stderr: "negative"},
		{args: "start o --input {", code: 2, stderr: "not JSON"},
		{args: "start o --input @/does/not/exist", code: 2, stderr: "no such file"},
		{args: "start o --input -", stdin: "nope", code: 2, stderr: "standard input is not JSON"},
		{args: "start o --id a/b", code: 2, stderr: "none of / \\ # ? is allowed"},
		{args: "start o --id @e", code: 2, stderr: "begins with @"},
		{args: "status @account@c0", code: 2, stderr: `"reprise entity" shows an entity`},
		{args: "start o --id=", code: 2, stderr: "is empty"},
		{args: "start o --task-hub a#b", code: 2, stderr: "task hub"},
		{args: "status a?b", code: 2, stderr: "instance ID"},
		{args: "status " + strings.Repeat("x", 257), code: 2, stderr: "257 bytes"},
		{args: "status i -o xml", code: 2, stderr: "json and table"},
		{args: "status", code: 2, stderr: "one instance ID"},
		{args: "status i --tls-cert x", code: 2, stderr: "--tls-ca"},
		{args: "up --nodes 0", code: 2, stderr: "1 to 9"},
		{args: "demo --dir /does/not/exist", code: 2, stderr: "no such file"},
		{args: "recover", code: 2, stderr: "--data-dir"},
		{args: "recover n1", code: 2, stderr: "n1"},
		{args: "recover --data-dir " + empty + " --lost n2", code: 2, stderr: "no data directory of a node"},
		{args: "recover --data-dir " + empty + " --group one", code: 2, stderr: `--group "one"`},
		{args: "recover --data-dir " + empty + " --report " + file, code: 2, stderr: "no report"},
		{args: "recover --data-dir " + empty + " --report /does/not/exist", code: 2, stderr: "no such file"},
		{args: "recover inspect", code: 2, stderr: "--data-dir"},
		{args: "recover inspect --data-dir /does/not/exist", code: 2, stderr: "no data directory of a node"},
		{args: "recover inspect --data-dir " + empty + " -o xml", code: 2, stderr: "json and table"},

		{args: "status none", code: 3, stderr: "no such instance\n"},
		{args: "status none --task-hub other", code: 3, stderr: `no such instance in task hub "other"`},
		{args: "wait none", code: 3},
		{args: "history none", code: 3},
		{args: "history none --execution x", code: 3, stderr: `no such instance, or it has no history of execution "x"`},
		{args: "terminate none", code: 3},
		{args: "start o --id taken", code: 5, stderr: "orchestration instance already exists; with --reuse keep-in nothing is started"},
		{args: "start o --id taken --reuse keep", code: 2, stderr: `--reuse "keep": keep-in, refuse-any, replace-any and replace-in:STATUS,... are possible`},
		{args: "start o --id taken --reuse=", code: 2, stderr: `--reuse ""`},
		{args: "start o --id taken --reuse replace-in", code: 2, stderr: "it wants the statuses in which an instance is replaced"},
		{args: "start o --id taken --reuse replace-in:", code: 2, stderr: `no instance has status ""; it may be Pending, Running`},
		{args: "start o --id taken --reuse keep-in:failed,ContinuedAsNew", code: 2, stderr: `no instance has status "ContinuedAsNew"`},
		{args: "start o --id taken --reuse refuse-any:Failed", code: 2, stderr: "refuse-any takes no statuses; keep-in and replace-in do"},
		{args: "start o --id taken --reuse replace-in:Running", code: 5, stderr: "cannot exclude 'Terminated'"},
		{args: "wait endless --timeout 50ms", code: 6, stderr: "(--timeout); it waits for activity a, attempt 2"},
		{args: "status i --address 127.0.0.1:1,elsewhere", code: 2, stderr: `"elsewhere": want host:port`},
		{args: "status i --address 127.0.0.1:1 --timeout 100ms", code: 4, stderr: "cluster not reachable"},
		{args: "status i --address 127.0.0.1:1 --timeout 100ms", code: 4, stderr: "--address wants"},
		{args: "status i --address 127.0.0.1:99999", code: 2, stderr: "a port of 1 to 65535"},
		{args: "status i --address 127.0.0.1:", code: 2, stderr: "a port of 1 to 65535"},
	} {
		t.Run(c.args[:min(len(c.args), 40)], func(t *testing.T) {
			got := try(t, c.stdin, strings.Fields(c.args)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\nstderr: %swant in it: %s", got.code, c.code, got.stderr, c.stderr)
			}
			if c.code != 0 && got.stdout != "" || c.stdout != "" && got.stdout != c.stdout {
				t.Errorf("stdout %q, want %q", got.stdout, c.stdout)
			}
			if (got.stderr != "") != (c.code != 0) {
				t.Errorf("exit code %d with stderr %q", got.code, got.stderr)
			}
		})
	}
}

func TestReusePolicies(t *testing.T) {
	b := serve(t)
	all := func(a leader.ReuseAction, statuses ...history.Status) leader.ReusePolicy {
		policy := leader.ReusePolicy{}
		for _, s := range statuses {
			policy[s] = a
		}
		return policy
	}
	for flag, want := range map[string]leader.ReusePolicy{
		"":                                      nil, // the cluster's default
		"--reuse=refuse-any":                    {},
		"--reuse=keep-in":                       all(leader.KeepExisting, foundStatuses...),
		"--reuse=keep-in:running,Completed":     all(leader.KeepExisting, history.Running, history.Completed),
		"--reuse=replace-any":                   all(leader.Replace, foundStatuses...),
		"--reuse=replace-in:Failed,canceled":    all(leader.Replace, history.Failed, history.Canceled),
		"--reuse=replace-in:Pending,Terminated": all(leader.Replace, history.Pending, history.Terminated),
	} {
		got := try(t, "", append([]string{"start", "o", "--id", "i"}, strings.Fields(flag)...)...)
		if got.code != 0 || got.stdout != "i\n" {
			t.Errorf("%s: exit code %d, %s", flag, got.code, got.stderr)
			continue
		}
		if r := <-b.started; (r.Reuse == nil) != (want == nil) || !maps.Equal(r.Reuse, want) {
			t.Errorf("%s: %v, want %v", flag, r.Reuse, want)
		}
	}
}

func TestExitCodeTable(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{cluster.ErrLocked, 7}, {cluster.ErrNotWritable, 7}, {cluster.ErrNewerFormat, 7}, {cluster.ErrCorrupt, 7},
		{cluster.ErrRecoveryRefused, 5}, {cluster.ErrOtherCluster, 7}, {cluster.ErrOtherNode, 7}, {cluster.ErrConfig, 2}, {cluster.ErrPortInUse, 2},
	} {
		if got := exitCode(fmt.Errorf("start: %w", c.err)); got != c.code {
			t.Errorf("%v: %d, want %d", c.err, got, c.code)
		}
	}
}

func TestStartedWithWhatWasGiven(t *testing.T) {
	b := serve(t)
	if got := try(t, "", "start", "o", "--input", `{"a":1}`, "--task-hub", "h", "--version", "2"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	r := <-b.started
	if r.Name != "o" || string(r.Input) != `{"a":1}` || r.Instance.Hub != "h" || r.Version != "2" || len(r.Instance.ID) != 32 || r.Identity.ID == "" {
		t.Errorf("started %+v", r)
	}
	if try(t, "", "start", "o"); (<-b.started).Input != nil {
		t.Error("no input is not absent")
	}
}

func TestJSONForms(t *testing.T) {
	serve(t)
	var in instanceJSON
	if err := json.Unmarshal([]byte(try(t, "", "status", "i", "-o", "json").stdout), &in); err != nil {
		t.Fatal(err)
	}
	if in.CancelRequest == nil || in.CancelRequest.Reason != "no more" || in.CancelRequest.Time.Unix() != 8 || in.Deadline.IsZero() || in.Deadline.Unix() != 9 {
		t.Errorf("status %+v", in)
	}
	if in.RuntimeStatus != "Completed" || in.InstanceID != "i" || string(in.Input) != "null" || in.HistoryEvents != 4 || len(in.Waiting) != 1 {
		t.Errorf("status %+v", in)
	}
	var events []eventJSON
	if err := json.Unmarshal([]byte(try(t, "", "history", "i", "-o", "json").stdout), &events); err != nil {
		t.Fatal(err)
	}
	if len(events) != 5 || events[0].Type != "OrchestratorStarted" || events[1].Type != "TaskScheduled" {
		t.Errorf("history %+v", events)
	}
	for i, want := range []string{``, `{"input":1,"name":"a"}`, `{"patch":"new"}`,
		`{"input":7,"name":"price","requestId":"r1","sent":"1970-01-01T00:00:01Z"}`,
		`{"failure":{"code":"shop.no","message":"no"},"name":"price","requestId":"r1","result":null,"sent":"1970-01-01T00:00:01Z"}`} {
		var got []byte
		if events[i].Fields != nil {
			var err error
			if got, err = json.Marshal(events[i].Fields); err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != want {
			t.Errorf("fields of %s: %s, want %s", events[i].Type, got, want)
		}
	}
	var d bytes.Buffer
	if err := json.Compact(&d, []byte(try(t, "", "cluster", "-o", "json").stdout)); err != nil {
		t.Fatal(err)
	}
	if want := `{"clusterId":"c","answeredBy":"n1","layout":0,` +
		`"nodes":[{"name":"n1","state":"alive","apiAddress":"","peerAddress":"","gossipAddress":"",` +
		`"orchestrations":["o","o@2.0"],"activities":["a"` + strings.Repeat(`,"a"`, 13) + `],"entities":["account"],"running":0,"clockAheadNanos":-90000000000,"clockWrong":true}],` +
		`"partitions":[{"id":1,"slots":[{"first":0,"last":4095}],"leader":"n1","preferred":"","epoch":0,` +
		`"replicas":[{"node":"n1","serverId":"","voter":true,"appliedIndex":77,"reachable":true}]}]}`; d.String() != want {
		t.Errorf("cluster\n%s, want\n%s", d.String(), want)
	}
}

func TestTables(t *testing.T) {
	serve(t)
	for command, parts := range map[string][]string{
		"status i":  {"Completed", "activity a, attempt 2", `{"a": [1]}`},
		"history i": {"OrchestratorStarted", `#0 TaskScheduled "a"`},
		"cluster":   {"n1", "alive", "0-4095", "77", "o, o@2.0", "a, … (14)  account\n", "1m30s behind, WRONG", "CLOCK: the time of day on n1 is 1m30s behind that of most nodes"},
	} {
		got := try(t, "", strings.Fields(command)...)
		for _, part := range parts {
			if got.code != 0 || !strings.Contains(got.stdout, part) {
				t.Errorf("%s does not show %q:\n%s%s", command, part, got.stdout, got.stderr)
			}
		}
	}
}

// TestClusterShowsWhatIsDown: which partitions have lost their majority, and what a
// person can do.
func TestClusterShowsWhatIsDown(t *testing.T) {
	replicas := func(reachable ...bool) (all []client.Replica) {
		for i, r := range reachable {
			all = append(all, client.Replica{Node: fmt.Sprint("n", i+1), Voter: true, Reachable: r})
		}
		return all
	}
	slots := []client.SlotRange{{First: 0, Last: 1}}
	d := client.Cluster{
		Nodes: []client.Node{{Name: "n1", State: "alive"}, {Name: "n2", State: "dead"}, {Name: "n3", State: "alive"}},
		Partitions: []client.Partition{
			{ID: 0, Replicas: replicas(true, false, false)},
			{ID: 1, Slots: slots, Leader: "n1", Replicas: replicas(true, false, true)},
			{ID: 2, Slots: slots, Replicas: replicas(true, false, true)}, // it elects
			{ID: 3, Slots: slots, Replicas: replicas(true, false, false)},
		},
	}
	var out bytes.Buffer
	if err := (&program{stdout: &out}).printCluster(d); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"DOWN: system, 3. ", "n2 (does not answer)", "n3 (runs without its replicas", "reprise recover --help"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("it does not show %q:\n%s", text, &out)
		}
	}
	out.Reset()
	d.Partitions = d.Partitions[1:3]
	if err := (&program{stdout: &out}).printCluster(d); err != nil || strings.Contains(out.String(), "DOWN") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestClusterShowsClocks: who differs, and what to do where that is too much.
func TestClusterShowsClocks(t *testing.T) {
	d := client.Cluster{Nodes: []client.Node{
		{Name: "n1", ClockAhead: time.Hour, ClockWrong: true}, {Name: "n2", ClockAhead: -3 * time.Millisecond}, {Name: "n3"},
	}}
	for node, want := range map[int]string{0: "1h0m0s ahead, WRONG", 1: "3ms behind", 2: "-"} {
		if got := clockOf(d.Nodes[node]); got != want {
			t.Errorf("the clock of node %d is shown as %q, want %q", node, got, want)
		}
	}
	var out bytes.Buffer
	(&program{stdout: &out}).printClocks(d)
	if text := out.String(); strings.Count(text, "CLOCK") != 1 || !strings.Contains(text, "on n1 is 1h0m0s ahead of that of most nodes") || !strings.Contains(text, "Set the clock") {
		t.Errorf("of one wrong clock it says\n%s", text)
	}
}

func TestServerRefusesBadSettings(t *testing.T) {
	dir := t.TempDir()
	config := func(text string) string {
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := "127.0.0.1:0"
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no name":          {[]string{"--data-dir", dir, "--api-addr", free}, 2, "name"},
		"no directory":     {[]string{"--name", "n1", "--api-addr", free}, 2, "--data-dir"},
		"port in use":      {[]string{"--name", "n1", "--data-dir", dir, "--api-addr", taken.Addr().String()}, 2, "already in use"},
		"not loopback":     {[]string{"--name", "n1", "--data-dir", dir, "--api-addr", free, "--peer-addr", "0.0.0.0:0"}, 2, "not loopback"},
		"HTTP port in use": {[]string{"--name", "n1", "--data-dir", dir, "--api-addr", free, "--peer-addr", free, "--gossip-addr", free, "--http", taken.Addr().String()}, 2, "HTTP address " + taken.Addr().String()},
		"pprof alone":      {[]string{"--name", "n1", "--data-dir", dir, "--api-addr", free, "--pprof"}, 2, "--http"},
		"unknown key":      {[]string{"--config", config("nmae: n1\n")}, 2, `line 1: there is no setting "nmae"`},
		"hidden key":       {[]string{"--config", config("attached: true\n")}, 2, "no setting"},
		"bad value":        {[]string{"--config", config("partitions: many\n")}, 2, "partitions"},
		"bad YAML":         {[]string{"--config", config("a: [")}, 2, "configuration"},
		"no such file":     {[]string{"--config", "/does/not/exist"}, 2, "no such file"},
		"log level":        {[]string{"--name", "n1", "--data-dir", dir, "--log-level", "loud"}, 2, "loud"},
		"half of TLS":      {[]string{"--name", "n1", "--data-dir", dir, "--tls-cert", "x"}, 2, "--tls-ca"},
		"an argument":      {[]string{"n1"}, 2, "n1"},
		"no gossip key":    {[]string{"--name", "n1", "--data-dir", dir, "--gossip-key", "/does/not/exist"}, 2, "gossip key"},
	} {
		t.Run(name, func(t *testing.T) {
			got := try(t, "", append([]string{"server"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.stderr) || got.stdout != "" {
				t.Errorf("%+v; want code %d and %q", got, c.code, c.stderr)
			}
		})
	}
}

// TestSettingsOverride: the command line before the environment before the file.
func TestSettingsOverride(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.yaml")
	text := "name: file\npartitions: 3\nsamples: true\njoin: [a, b]\nlabel: [gpu=true]\ndata-dir: file\n"
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REPRISE_NAME", "environment")
	t.Setenv("REPRISE_DATA_DIR", "environment")
	cmd := (&program{}).serverCommand()
	f := cmd.Flags()
	if err := f.Parse([]string{"--name", "line"}); err != nil {
		t.Fatal(err)
	}
	if err := fromEnvironment(f); err != nil {
		t.Fatal(err)
	}
	if err := fromFile(f, name); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"name": "line", "data-dir": "environment", "partitions": "3", "samples": "true", "join": "[a,b]", "label": "[gpu=true]"} {
		if got := f.Lookup(flag).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", flag, got, want)
		}
	}
	t.Setenv("REPRISE_PARTITIONS", "many")
	if err := fromEnvironment((&program{}).serverCommand().Flags()); err == nil || !strings.Contains(err.Error(), "REPRISE_PARTITIONS") {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestUpNodes(t *testing.T) {
	dir := t.TempDir()
	has := func(n *nodeProcess, args string) bool { return strings.Contains(strings.Join(n.args, " "), args) }
	for _, n := range upNodes(3, defaultPort, dir) {
		if !has(n, "--bootstrap-expect 3") || !has(n, "--join 127.0.0.1:4003,127.0.0.1:4013,127.0.0.1:4023") {
			t.Errorf("a new cluster: %v", n.args)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "n1"), 0o755); err != nil {
		t.Fatal(err)
	}
	grown := upNodes(3, defaultPort, dir)
	if !has(grown[0], "--bootstrap-expect 1") || has(grown[1], "--bootstrap-expect") || !has(grown[1], "--join") {
		t.Errorf("a grown cluster: %v", grown)
	}
	if alone := upNodes(1, defaultPort, dir)[0]; has(alone, "--join") || alone.api != "127.0.0.1:4001" {
		t.Errorf("one node: %v", alone.args)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	b := newProgressBar(&out)
	for done := range 21 {
		b.show(done, 20)
	}
	b.show(0, 0)
	if lines := strings.Count(out.String(), "\n"); lines != 11 {
		t.Errorf("%d plain lines, want one a tenth:\n%s", lines, out.String())
	}
	out.Reset()
	b.terminal = true
	b.show(1, 2)
	b.say("hello")
	b.show(2, 2)
	if text := out.String(); !strings.Contains(text, "1 of 2 batches") || !strings.Contains(text, "\r\x1b[Khello\n") || !strings.HasSuffix(text, "2 of 2 batches\n") {
		t.Errorf("on a terminal: %q", text)
	}
}

func TestPrefixedLines(t *testing.T) {
	var out bytes.Buffer
	w := &prefixed{mu: &sync.Mutex{}, out: &out, prefix: "n1 | "}
	for _, part := range []string{"one\ntw", "o\n", "thr"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := out.String(), "n1 | one\nn1 | two\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The place of a panic is what its author wants to know first.
func TestStatusOfPanic(t *testing.T) {
	serve(t)
	got := try(t, "", "status", "panicked")
	if words := strings.Join(strings.Fields(got.stdout), " "); !strings.Contains(words, "Failure panic: boom At shop.fulfil (/src/shop.go:12)") {
		t.Errorf("it says\n%s", got.stdout)
	}
}
