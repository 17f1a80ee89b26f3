package main

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// tokenOf is the token of an attempt of an instance.
func tokenOf(instance history.InstanceID) string {
	return history.AttemptToken{Hub: history.DefaultTaskHub, Instance: instance, Execution: "e", TaskID: 1, Epoch: 2, N: 3}.String()
}

func (b *backend) CompleteActivity(_ context.Context, r leader.CompleteRequest) error {
	switch {
	case r.Token.Instance == "none":
		return leader.ErrStale
	case r.Token.TaskID != 1 || r.Token.Epoch != 2 || r.Token.N != 3 || r.Identity.ID == "":
		return fmt.Errorf("%w: %+v", leader.ErrInvalid, r)
	}
	return nil
}

func (b *backend) HeartbeatActivity(context.Context, leader.HeartbeatRequest) error { return nil }
