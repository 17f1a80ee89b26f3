package reprise

// ErrClosed: the [Channel] was closed, and is empty.
var ErrClosed = NewError("reprise.closed", "channel is closed")

// Channel passes values from one coroutine of an orchestration to another, in their
// order. Make it with [NewChannel].
type Channel[T any] struct {
	capacity  int
	buffer    []T
	senders   []*transfer[T] // wait for room, oldest first
	receivers []*transfer[T] // wait for a value, oldest first; then there are no senders
	closed    bool
}

// transfer is a coroutine that waits at a channel.
type transfer[T any] struct {
	value T
	done  bool
	err   error
}

// NewChannel returns a channel that holds so many values that nobody has received yet.
func NewChannel[T any](capacity int) *Channel[T] { return &Channel[T]{capacity: max(capacity, 0)} }

// Send sends a value; it waits until there is room for it or somebody receives it. The
// error is [ErrClosed], or the *[CanceledError] of the scope of o; then it was not sent.
func (c *Channel[T]) Send(o *Orchestration, v T) error {
	switch {
	case c.closed:
		return ErrClosed
	case len(c.receivers) > 0:
		next(&c.receivers).take(v)
		return nil
	case len(c.buffer) < c.capacity:
		c.buffer = append(c.buffer, v)
		return nil
	}
	return c.wait(o, &c.senders, &transfer[T]{value: v})
}

// Receive waits for the next value. The error is [ErrClosed], when there will be none
// any more, or the *[CanceledError] of the scope of o.
func (c *Channel[T]) Receive(o *Orchestration) (T, error) {
	var v T
	switch {
	case len(c.buffer) > 0:
		v = next(&c.buffer)
		if len(c.senders) > 0 {
			s := next(&c.senders)
			c.buffer = append(c.buffer, s.value)
			s.done = true
		}
		return v, nil
	case len(c.senders) > 0:
		s := next(&c.senders)
		s.done = true
		return s.value, nil
	case c.closed:
		return v, ErrClosed
	}
	t := &transfer[T]{}
	err := c.wait(o, &c.receivers, t)
	return t.value, err
}

// Close says that nothing is sent any more. What was sent is still received.
func (c *Channel[T]) Close() {
	c.closed = true
	for _, t := range append(c.senders, c.receivers...) {
		t.done, t.err = true, ErrClosed
	}
	c.senders, c.receivers = nil, nil
}

func (t *transfer[T]) take(v T) { t.value, t.done = v, true }

// wait stands in a queue until the transfer is done, or leaves it.
func (c *Channel[T]) wait(o *Orchestration, queue *[]*transfer[T], t *transfer[T]) error {
	*queue = append(*queue, t)
	if err := o.WaitUntil(func() bool { return t.done }); err != nil {
		leave(queue, t)
		return err
	}
	return t.err
}
