package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// asked answers what is asked of orchestrations in the tests.
type asked struct{}

func (asked) Query(_ context.Context, r leader.QueryRequest) (leader.QueryAnswer, error) {
	switch {
	case r.Instance.ID == "none":
		return leader.QueryAnswer{}, leader.ErrNotFound
	case r.Name == "refuse":
		return leader.QueryAnswer{Failure: &history.Failure{Message: "not today"}}, nil
	case r.Name != "progress":
		return leader.QueryAnswer{}, fmt.Errorf("%w: it handles progress", leader.ErrNoHandler)
	}
	return leader.QueryAnswer{Result: append(history.Payload(`"at `), append(r.Input, '"')...)}, nil
}

func (asked) Update(ctx context.Context, r leader.UpdateRequest) (leader.UpdateReply, error) {
	switch {
	case r.Instance.ID == "none":
		return leader.UpdateReply{}, leader.ErrNotFound
	case r.Identity.ID == "":
		return leader.UpdateReply{}, leader.ErrInvalid
	case r.Name == "refuse":
		return leader.UpdateReply{Refused: true, Failure: &history.Failure{Message: "not today"}}, nil
	case r.Name == "slow":
		<-ctx.Done()
		return leader.UpdateReply{}, ctx.Err()
	case r.Name == "late":
		return leader.UpdateReply{Failure: &history.Failure{Type: history.FailureEnded, Message: "it ended"}}, nil
	case r.Name != "price":
		return leader.UpdateReply{Failure: &history.Failure{Type: history.FailureNoHandler, Message: "it handles price"}}, nil
	}
	return leader.UpdateReply{Result: r.Input}, nil
}

// wanted is a row of a table of commands and what they do.
type wanted struct {
	args   string
	stdin  string
	code   int
	stdout string // all of it, where it is not empty
	stderr string // a part of it
}

func TestQueryCommand(t *testing.T) {
	serve(t)
	play(t, []wanted{
		{args: "query i progress", stdout: "\"at \"\n"},
		{args: "query i progress --data -", stdin: "7", stdout: "\"at 7\"\n"},
		{args: "query i", code: 2, stderr: "the name of what is asked"},
		{args: "query a/b progress", code: 2, stderr: "none of / \\ # ? is allowed"},
		{args: "query i progress --data {", code: 2, stderr: "--data is not JSON"},
		{args: "query none progress", code: 3, stderr: "no such instance"},
		{args: "query i nonsense", code: 5, stderr: "it handles progress"},
		{args: "query i refuse", code: 5, stderr: "not today"},
	})
}

func play(t *testing.T, table []wanted) {
	t.Helper()
	for _, c := range table {
		t.Run(c.args[:min(len(c.args), 40)], func(t *testing.T) {
			got := try(t, c.stdin, strings.Fields(c.args)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.stderr) || (got.stderr != "") != (c.code != 0) {
				t.Errorf("exit code %d, want %d\nstderr: %swant in it: %s", got.code, c.code, got.stderr, c.stderr)
			}
			if c.code != 0 && got.stdout != "" || c.stdout != "" && got.stdout != c.stdout {
				t.Errorf("stdout %q, want %q", got.stdout, c.stdout)
			}
		})
	}
}

func TestUpdateCommand(t *testing.T) {
	serve(t)
	play(t, []wanted{
		{args: "update i price --data 7", stdout: "7\n"},
		{args: "update i price", stdout: "null\n"},
		{args: "update i", code: 2, stderr: "the name of what is asked"},
		{args: "update none price", code: 3, stderr: "no such instance"},
		{args: "update i nonsense", code: 5, stderr: "it handles price"},
		{args: "update i refuse", code: 5, stderr: "not today"},
		{args: "update i slow --timeout 50ms", code: 6, stderr: "(--timeout); it waits for activity a, attempt 2"},
		{args: "update i late", code: 5, stderr: "it ended"},
	})
}
