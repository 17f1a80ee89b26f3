package cluster

import (
	"context"
	"errors"

	"github.com/reprise-run/reprise/partition/leader"
)

// Update asks an orchestration to do something, and returns its reply. It is repeated
// until there is one, or ctx is done; the code does it once.
func (n *Node) Update(ctx context.Context, req leader.UpdateRequest) (leader.UpdateReply, error) {
	for asked := false; ; asked = true {
		once, cancel := context.WithTimeout(ctx, waitPatience)
		reply, err := invoke(once, n, updateRequest, req)
		over := once.Err() != nil && ctx.Err() == nil
		cancel()
		if asked && errors.Is(err, leader.ErrRequestExpired) {
			return reply, leader.ErrRequestExpired // without the clock: it may be done
		}
		if err == nil || !over {
			return reply, err
		}
	}
}

var updateRequest = request[leader.UpdateRequest, leader.UpdateReply]{
	method:     "instance/update",
	instance:   func(q leader.UpdateRequest) leader.InstanceRef { return q.Instance },
	repeatable: func(leader.UpdateRequest) bool { return true },
	call:       (*leader.Leader).Update,
}
