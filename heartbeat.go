package reprise

import (
	"context"
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/history"
)

// Heartbeat says that the attempt lives, and saves how far it has come: the next
// attempt gets it by [Progress], on whatever node it runs. nil (or [None]) leaves what
// was saved. It does not wait: of many heartbeats the newest is saved, about once a
// second, and when the attempt fails. So it may be called as often as one likes.
//
// The error says that the attempt is not wanted any more (its context is done), that
// ctx is not an activity's, or that progress cannot be encoded or is larger than
// [history.MaxProgressBytes]. The function should then return.
func Heartbeat(ctx context.Context, progress any) error {
	p, ok := ctx.Value(pulseKey{}).(Pulse)
	if !ok {
		return fmt.Errorf("heartbeat: the context is not an activity's")
	}
	if ctx.Err() != nil {
		return fmt.Errorf("heartbeat: %w", context.Cause(ctx))
	}
	var payload history.Payload
	if progress != nil {
		var err error
		if payload, err = EncodePayload(p.Codec, "progress of the activity", progress); err != nil {
			return err
		}
		if _, raw := progress.(Raw); raw {
			payload = slices.Clone(payload) // the caller may go on with it
		}
	}
	if len(payload) > history.MaxProgressBytes {
		return &PayloadError{"progress of the activity", fmt.Errorf("%w: %d bytes; at most %d are allowed", ErrTooLarge, len(payload), history.MaxProgressBytes)}
	}
	p.Beat(payload)
	return nil
}

// Progress returns what attempts of this activity before this one have saved by
// [Heartbeat], the zero value if nothing was. The error is a *[PayloadError].
func Progress[T any](ctx context.Context) (T, error) {
	p, ok := ctx.Value(pulseKey{}).(Pulse)
	if !ok {
		return *new(T), nil
	}
	return DecodePayload[T](p.Codec, "progress of the activity", p.Saved)
}

// Pulse is how the heartbeats of an attempt reach whoever runs it.
type Pulse struct {
	Codec Codec
	// Saved is what earlier attempts saved; nil: nothing.
	Saved history.Payload
	// Beat takes a heartbeat; nil is no progress. It is safe for concurrent use.
	Beat func(progress history.Payload)
}

type pulseKey struct{}

// ContextWithPulse returns a context that [Heartbeat] and [Progress] use; for whoever
// runs activities, and for their tests.
func ContextWithPulse(ctx context.Context, p Pulse) context.Context {
	return context.WithValue(ctx, pulseKey{}, p)
}
