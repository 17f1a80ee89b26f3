package cluster

import (
	"context"

	"github.com/reprise-run/reprise/partition/leader"
)

// Watch returns when the instance shows something else than was seen, or has ended. It
// follows the leader: with what it saw last from one, a caller sees nothing older from
// the next one, and misses nothing that is still the newest.
func (n *Node) Watch(ctx context.Context, req leader.WatchRequest) (leader.WatchAnswer, error) {
	return await(ctx, n, watchRequest, req)
}

var watchRequest = request[leader.WatchRequest, leader.WatchAnswer]{
	method:     "instance/watch",
	instance:   func(q leader.WatchRequest) leader.InstanceRef { return q.Instance },
	repeatable: func(leader.WatchRequest) bool { return true },
	call:       (*leader.Leader).Watch,
}
