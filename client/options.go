package client

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// Option sets something of a [Client].
type Option func(*config)

type config struct {
	hub      history.TaskHub
	tls      *tls.Config
	codec    reprise.Codec
	patience time.Duration
	now      func() time.Time
	dial     []grpc.DialOption
	around   []Interceptor // the outermost first
}

// WithTaskHub sets the task hub; history.DefaultTaskHub is the default.
func WithTaskHub(hub history.TaskHub) Option { return func(c *config) { c.hub = hub } }

// WithTLS encrypts the connections.
func WithTLS(t *tls.Config) Option { return func(c *config) { c.tls = t } }

// WithCodec sets the codec of typed calls, which must be that of the nodes;
// reprise.JSON is the default.
func WithCodec(codec reprise.Codec) Option { return func(c *config) { c.codec = codec } }

// WithPatience sets how long a call goes on while no node can answer; 10 s is the
// default. A wait that the cluster has taken is not limited by it.
func WithPatience(d time.Duration) Option { return func(c *config) { c.patience = d } }

// WithDialOptions adds options of gRPC, say a dialer.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(c *config) { c.dial = append(c.dial, opts...) }
}

// StartOption sets something of a start.
type StartOption func(*start)

type start struct {
	id      history.InstanceID
	version string
	tags    map[string]string
	reuse   *Reuse
	at      time.Time
	trace   history.Trace
	timeout time.Duration
}

// WithID chooses the instance ID; a random one of 32 hex digits is the default.
func WithID(id history.InstanceID) StartOption { return func(s *start) { s.id = id } }

// WithVersion sets the version that the orchestrator is told.
func WithVersion(version string) StartOption { return func(s *start) { s.version = version } }

// WithTags marks the instance.
func WithTags(tags map[string]string) StartOption { return func(s *start) { s.tags = tags } }

// WithStartAt delays the first episode until t.
func WithStartAt(t time.Time) StartOption { return func(s *start) { s.at = t } }

// WithTimeout sets how long after its start the orchestration is cancelled, with
// reprise.ErrTimeout as the cause, if it has not ended; see [Cancel] for what that is.
// The deadline stays when the orchestration continues as new.
func WithTimeout(d time.Duration) StartOption { return func(s *start) { s.timeout = d } }

// WithTrace makes the orchestration a part of a trace. One that is not valid is none.
func WithTrace(t history.Trace) StartOption { return func(s *start) { s.trace = t } }

// WithReuse says what happens where an instance has the ID already. The default
// replaces one that has ended and refuses a live one.
func WithReuse(r Reuse) StartOption { return func(s *start) { s.reuse = &r } }

// Reuse says what a start does where an instance has the ID already: what is not
// in the list of statuses is refused with [ErrExists].
type Reuse struct {
	statuses []history.Status
	keep     bool
}

// The statuses in which an instance may be found.
var (
	endedStatuses = []history.Status{history.Completed, history.Failed, history.Canceled, history.Terminated}
	liveStatuses  = []history.Status{history.Running, history.Pending, history.Suspended}
)

// RefuseAny refuses whatever there is.
func RefuseAny() Reuse { return Reuse{} }

// ReplaceAny ends a live instance (it is terminated) and replaces an ended one.
func ReplaceAny() Reuse {
	return Reuse{statuses: append(append([]history.Status{}, liveStatuses...), endedStatuses...)}
}

// ReplaceIn replaces an instance of one of the statuses. A list with a live
// status must hold Terminated too: a live one is terminated first.
func ReplaceIn(statuses ...history.Status) Reuse { return Reuse{statuses: statuses} }

// KeepIn keeps an instance of one of the statuses and answers as if it had been
// started now; without statuses, whatever there is.
func KeepIn(statuses ...history.Status) Reuse {
	if len(statuses) == 0 {
		statuses = append(append([]history.Status{}, liveStatuses...), endedStatuses...)
	}
	return Reuse{statuses: statuses, keep: true}
}
