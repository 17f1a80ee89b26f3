package server

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// maxRequestIDBytes bounds what a caller may make us remember.
const maxRequestIDBytes = 128

// instanceRef names the instance of a call: its task hub comes from metadata.
func instanceRef(ctx context.Context, id string) (leader.InstanceRef, error) {
	hub, err := taskHub(ctx)
	if err != nil {
		return leader.InstanceRef{}, err
	}
	ref := leader.InstanceRef{Hub: hub, ID: history.InstanceID(id)}
	return ref, history.ValidateOrchestrationID(ref.ID)
}

// taskHub returns the task hub of a call.
func taskHub(ctx context.Context) (history.TaskHub, error) {
	hub := history.DefaultTaskHub
	if named := first(ctx, "taskhub"); named != "" {
		hub = history.TaskHub(named)
	}
	return hub, history.ValidateTaskHub(hub)
}

// identity reads the identity of a mutating call; none is the zero value.
func identity(ctx context.Context) (leader.RequestIdentity, error) {
	id := first(ctx, "reprise-request-id")
	if id == "" {
		return leader.RequestIdentity{}, nil
	}
	if len(id) > maxRequestIDBytes {
		return leader.RequestIdentity{}, fmt.Errorf("%w: reprise-request-id has %d bytes; at most %d are allowed", leader.ErrInvalid, len(id), maxRequestIDBytes)
	}
	text := first(ctx, "reprise-request-time")
	sent, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return leader.RequestIdentity{}, fmt.Errorf("%w: reprise-request-time %q is not a count of nanoseconds since 1970", leader.ErrInvalid, text)
	}
	return leader.RequestIdentity{ID: id, Sent: time.Unix(0, sent).UTC()}, nil
}

func first(ctx context.Context, key string) string {
	if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}
