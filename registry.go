package reprise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Registry holds the functions that a node runs. Fill it with [Bind] before it is
// handed to a node; what is wrong with the bindings is gathered, and [Registry.Err]
// tells it before the node joins a cluster. It is safe for concurrent use.
type Registry struct {
	codec  Codec
	logger *slog.Logger
	// matching says which instances a bound version runs.
	matching Matching
	// Middleware, the outermost first.
	aroundOrchestrators []OrchestratorInterceptor
	aroundActivities    []ActivityInterceptor
	aroundEntities      []EntityInterceptor

	mu            sync.Mutex // guards the fields below
	orchestrators map[string]engine.Program
	versions      map[string][]bound // of orchestrators, by name; the oldest first
	activities    map[string]ActivityFunc
	limits        map[string]ActivityLimits
	entities      map[string]*EntityCode // by name in lower case
	errs          []error
}

// ActivityFunc is a bound activity: payloads in, payloads out. It panics where
// the user's function does.
type ActivityFunc func(ctx context.Context, input history.Payload) (history.Payload, *history.Failure)

// RegistryOption sets something of a [Registry].
type RegistryOption func(*Registry)

// WithCodec sets the codec; [JSON] is the default. Every node and every client of
// a task hub uses the same one.
func WithCodec(c Codec) RegistryOption { return func(r *Registry) { r.codec = c } }

// WithLogger sets where [Orchestration.Log] and [EntityContext.Log] write; slog.Default is the default.
func WithLogger(l *slog.Logger) RegistryOption { return func(r *Registry) { r.logger = l } }

// NewRegistry returns an empty registry.
func NewRegistry(opts ...RegistryOption) *Registry {
	r := &Registry{codec: JSON, orchestrators: map[string]engine.Program{}, versions: map[string][]bound{}, activities: map[string]ActivityFunc{}, limits: map[string]ActivityLimits{}, entities: map[string]*EntityCode{}}
	for _, opt := range opts {
		opt(r)
	}
	return r
}

// Descriptor is a typed name that a function of type F can be bound to:
// [Activity], [Orchestrator] and [Operation].
type Descriptor[F any] interface {
	Name() string
	bind(r *Registry, fn F) error
}

// Bind binds a function to a descriptor. A function of another type does not
// compile. Two bindings of a name, an empty name, a name or a version that nobody can
// start, a nil function, and types that the codec cannot encode are errors that
// [Registry.Err] returns, and with which no node starts.
func Bind[F any](r *Registry, d Descriptor[F], fn F) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := d.bind(r, fn); err != nil {
		r.errs = append(r.errs, err)
	}
}

// Err returns everything that is wrong with the bindings, or nil.
func (r *Registry) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

// Codec returns the codec of the registry.
func (r *Registry) Codec() Codec { return r.codec }

// Activity returns the function bound to the name.
func (r *Registry) Activity(name string) (ActivityFunc, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn, ok := r.activities[name]
	return fn, ok
}

// Entity returns the code of an entity: the operations that are bound to its name. No
// more must be bound once it runs.
func (r *Registry) Entity(name string) (*EntityCode, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	code, ok := r.entities[strings.ToLower(name)]
	return code, ok
}

// Orchestrators returns the names of bound orchestrators, in whatever version, sorted.
func (r *Registry) Orchestrators() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.AppendSeq(slices.Collect(maps.Keys(r.orchestrators)), maps.Keys(r.versions))
	slices.Sort(names)
	return slices.Compact(names)
}

// Activities returns the names of bound activities, sorted.
func (r *Registry) Activities() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.activities))
}

// Entities returns the names of entities that have a bound operation, in lower case,
// sorted.
func (r *Registry) Entities() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.entities))
}

// checkBinding returns what is wrong with a binding of the given kind.
func checkBinding[In, Out any](r *Registry, kind, name string, missing, taken bool) error {
	switch {
	case missing:
		return fmt.Errorf("bind %s %q: the function is nil", kind, name)
	case taken:
		return fmt.Errorf("bind %s %q: the name is bound already", kind, name)
	}
	if err := errors.Join(checkName(name), encodable[In](r), encodable[Out](r)); err != nil {
		return fmt.Errorf("bind %s %q: %w", kind, name, err)
	}
	return nil
}

// checkName returns what is wrong with the name of a descriptor.
func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	return history.ValidateName(name)
}

// encodable says why values of a type cannot be encoded.
func encodable[T any](r *Registry) error {
	var v T
	var unsupported *json.UnsupportedTypeError
	if _, err := EncodePayload(r.codec, "", v); errors.As(err, &unsupported) {
		return unsupported
	}
	return nil
}
