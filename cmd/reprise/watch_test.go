package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Watch tells of three states, of which the last is that of all instances of the tests.
func (asked) Watch(ctx context.Context, r leader.WatchRequest) (leader.WatchAnswer, error) {
	in, err := (&backend{}).instance(r.Instance.ID)
	if err != nil {
		return leader.WatchAnswer{}, err
	}
	seen := leader.Seen{Epoch: 1, Sum: r.Seen.Sum + 1}
	if seen.Sum <= 2 {
		in.Status, in.Output, in.Failure = history.Running, nil, nil
		in.CustomStatus = history.Payload(fmt.Sprintf("{\"at\": %d}", seen.Sum))
		in.Tags = map[string]string{"stage": "two\nlines", "a": "b"}
	} else if r.Instance.ID == "endless" {
		<-ctx.Done()
		return leader.WatchAnswer{}, ctx.Err()
	}
	return leader.WatchAnswer{Instance: in, Seen: seen}, nil
}

func TestWatchCommand(t *testing.T) {
	serve(t)
	for _, c := range []struct {
		args   string
		code   int
		last   string // line of standard output
		stderr string // a part of it
	}{
		{args: "watch i", last: "Completed  asked to end: no more  waits for activity a, attempt 2  output {\"a\": [1]}"},
		{args: "watch failed", code: 1, last: "Failed  asked to end: no more  waits for activity a, attempt 2  failure no stock", stderr: "no stock"},
		{args: "watch terminated", code: 1, last: "Terminated  asked to end: no more  waits for activity a, attempt 2  output \"enough\"", stderr: "enough"},
		{args: "watch endless --timeout 300ms", code: 6, last: "Running  {\"at\": 2}  a=b  stage=two lines  asked to end: no more  waits for activity a, attempt 2"},
		{args: "watch none", code: 3, stderr: "no such instance"},
		{args: "watch", code: 2, stderr: "one instance ID"},
		{args: "watch a/b", code: 2, stderr: "none of / \\ # ? is allowed"},
	} {
		got := try(t, "", strings.Fields(c.args)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.stderr) || (got.stderr != "") != (c.code != 0) {
			t.Errorf("%s: exit code %d, want %d, stderr %q", c.args, got.code, c.code, got.stderr)
		}
		lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
		stamp := time.Unix(2, 0).Local().Format("2006-01-02 15:04:05.000  ")
		if last := lines[len(lines)-1]; c.last != "" && last != stamp+c.last || c.last == "" && last != "" || len(lines) > 3 {
			t.Errorf("%s: %d lines, the last %q, want %q", c.args, len(lines), last, c.last)
		}
	}
}

// With -o json each line is an object like that of status.
func TestWatchJSON(t *testing.T) {
	serve(t)
	got := try(t, "", "watch", "failed", "-o", "json")
	var states []string
	for line := range strings.Lines(got.stdout) {
		var in instanceJSON
		if err := json.Unmarshal([]byte(line), &in); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		states = append(states, in.RuntimeStatus+string(in.CustomStatus))
	}
	if n := len(states); got.code != 1 || n == 0 || states[n-1] != "Failednull" {
		t.Errorf("exit code %d, states %q", got.code, states)
	}
	if before := states[:len(states)-1]; !slices.IsSorted(before) || len(before) > 2 { // those in between may be skipped
		t.Errorf("states %q", states)
	}
}

func TestChangeLine(t *testing.T) {
	line := func(waiting ...string) string {
		text := changeLine(client.Instance{Status: history.Running, Updated: time.Unix(2, 0), Waiting: waiting})
		return strings.TrimPrefix(text, shownTime(time.Unix(2, 0)))
	}
	for want, got := range map[string]string{
		"  Running":                                                    line(),
		"  Running  waits for a":                                       line("a"),
		"  Running  waits for a, and for b":                            line("a", "b"),
		"  Running  waits for a, and for b, and for c":                 line("a", "b", "c"),
		"  Running  waits for a, and for b, and for c, and for 1 more": line("a", "b", "c", "d"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
