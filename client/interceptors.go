package client

import (
	"context"

	"github.com/reprise-run/reprise/history"
)

// Call is a call of a [Client] as interceptors see it.
type Call struct {
	// Operation is what is done, for people and for names of spans: "start", "raise",
	// "signal", "wait", …
	Operation string
	// TaskHub and Instance are whom it concerns; Instance is empty where it is none.
	TaskHub  history.TaskHub
	Instance history.InstanceID
	// Name is that of the orchestration to start, the event to raise, or the query,
	// update or operation that is asked for.
	Name string
	// Tags are those of a start, Trace that of a start, a signal or an event. An
	// interceptor may set them before it calls the next handler.
	Tags  map[string]string
	Trace history.Trace
}

// Handler makes a call. It returns when the call has succeeded or failed for good:
// what a client repeats, on one node after the other, is one call.
type Handler func(ctx context.Context, call *Call) error

// Interceptor is middleware around calls: it returns a handler that does something
// before and after it calls next, or instead. What a call returns does not pass it,
// except the error.
type Interceptor func(next Handler) Handler

// WithInterceptor adds middleware around all calls; what is added first is outermost.
func WithInterceptor(all ...Interceptor) Option {
	return func(c *config) { c.around = append(c.around, all...) }
}

// do makes a call, through the interceptors.
func (c *Client) do(ctx context.Context, what call, try attempt) error {
	handle := func(ctx context.Context, _ *Call) error { return c.repeat(ctx, what, try) }
	if len(c.config.around) == 0 {
		return handle(ctx, nil)
	}
	if what.info.Tags == nil {
		what.info.Tags = map[string]string{}
	}
	for i := len(c.config.around) - 1; i >= 0; i-- {
		handle = c.config.around[i](handle)
	}
	return handle(ctx, what.info)
}
