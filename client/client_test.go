package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// fakeNode is a node that answers as a test wants it to, and remembers what it
// was asked.
type fakeNode struct {
	durabletask.UnimplementedTaskHubSidecarServiceServer
	reprisev1.UnimplementedRepriseServiceServer
	reprisev1.UnimplementedCancelServiceServer
	fakeAsked

	cancel func(*reprisev1.CancelInstanceRequest) error
	start  func(*durabletask.CreateInstanceRequest) error
	raise  func(*durabletask.RaiseEventRequest) error
	says   []said // to one start after the other, instead of start
	wait   func(context.Context) (*durabletask.OrchestrationState, error)
	detail func(context.Context) (*reprisev1.GetInstanceDetailResponse, error)
	stream func(grpc.ServerStreamingServer[durabletask.HistoryChunk]) error
	routes *reprisev1.GetRoutesResponse
	entityNode

	mu    sync.Mutex // guards what follows
	asked []metadata.MD
}

// said is an error with its trailer.
type said struct {
	code    codes.Code
	trailer metadata.MD
}

func (n *fakeNode) note(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	n.mu.Lock()
	n.asked = append(n.asked, md)
	n.mu.Unlock()
}

func (n *fakeNode) calls() []metadata.MD {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

func (n *fakeNode) ExecuteInstance(ctx context.Context, m *reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error) {
	n.note(ctx)
	return n.execute(m)
}

func (n *fakeNode) RaiseEvent(ctx context.Context, m *durabletask.RaiseEventRequest) (*emptypb.Empty, error) {
	n.note(ctx)
	return &emptypb.Empty{}, n.raise(m)
}

func (n *fakeNode) StartInstance(ctx context.Context, m *durabletask.CreateInstanceRequest) (*durabletask.CreateInstanceResponse, error) {
	n.note(ctx)
	if at := len(n.calls()) - 1; at < len(n.says) {
		if err := grpc.SetTrailer(ctx, n.says[at].trailer); err != nil {
			return nil, err
		}
		return nil, status.Error(n.says[at].code, "said")
	}
	if err := n.start(m); err != nil {
		return nil, err
	}
	return &durabletask.CreateInstanceResponse{InstanceId: m.GetInstanceId()}, nil
}

func (n *fakeNode) WaitForInstanceCompletion(ctx context.Context, _ *durabletask.GetInstanceRequest) (*durabletask.GetInstanceResponse, error) {
	n.note(ctx)
	s, err := n.wait(ctx)
	if err != nil {
		return nil, err
	}
	return &durabletask.GetInstanceResponse{Exists: s != nil, OrchestrationState: s}, nil
}

func (n *fakeNode) GetInstanceDetail(ctx context.Context, _ *reprisev1.GetInstanceDetailRequest) (*reprisev1.GetInstanceDetailResponse, error) {
	n.note(ctx)
	return n.detail(ctx)
}

func (n *fakeNode) StreamHistory(_ *durabletask.StreamInstanceHistoryRequest, out grpc.ServerStreamingServer[durabletask.HistoryChunk]) error {
	n.note(out.Context())
	return n.stream(out)
}

func (n *fakeNode) GetRoutes(context.Context, *reprisev1.GetRoutesRequest) (*reprisev1.GetRoutesResponse, error) {
	if n.routes == nil {
		return nil, status.Error(codes.Unavailable, "no routes")
	}
	return n.routes, nil
}

// connect serves the nodes in memory at the addresses n1, n2, … and returns a
// client that knows all of them.
func connect(t *testing.T, nodes []*fakeNode, opts ...Option) *Client {
	t.Helper()
	listeners := map[string]*bufconn.Listener{}
	var addresses []string
	for i, n := range nodes {
		l := bufconn.Listen(1 << 20)
		s := grpc.NewServer()
		durabletask.RegisterTaskHubSidecarServiceServer(s, n)
		reprisev1.RegisterRepriseServiceServer(s, n)
		reprisev1.RegisterCancelServiceServer(s, n)
		reprisev1.RegisterOrchestrationServiceServer(s, n)
		go func() { _ = s.Serve(l) }() // ends with Stop
		t.Cleanup(s.Stop)
		address := fmt.Sprintf("n%d", i+1)
		addresses = append(addresses, address)
		listeners[address] = l
	}
	dialer := func(ctx context.Context, address string) (net.Conn, error) {
		if l, ok := listeners[address]; ok {
			return l.DialContext(ctx)
		}
		return nil, errors.New("connection refused")
	}
	c, err := Dial(addresses, append([]Option{WithDialOptions(grpc.WithContextDialer(dialer))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func fails(code codes.Code) func(*durabletask.CreateInstanceRequest) error {
	return func(*durabletask.CreateInstanceRequest) error { return status.Error(code, "as the test wants it") }
}

func works(*durabletask.CreateInstanceRequest) error { return nil }

// TestRepeatedStartIsOneRequest: however often a start is sent, and wherever, it
// is the same request, first sent at the same time.
func TestRepeatedStartIsOneRequest(t *testing.T) {
	left := 5
	var mu sync.Mutex
	flaky := func(*durabletask.CreateInstanceRequest) error {
		mu.Lock()
		defer mu.Unlock()
		if left--; left >= 0 {
			return status.Error(codes.Unavailable, "the leader went away")
		}
		return nil
	}
	nodes := []*fakeNode{{start: flaky}, {start: flaky}, {start: flaky}}
	c := connect(t, nodes, WithTaskHub("h"))
	id, err := c.Start(t.Context(), "o", nil)
	if err != nil || len(id) != 32 {
		t.Fatalf("%q, %v", id, err)
	}
	if _, err := c.Start(t.Context(), "o", nil); err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[string]int{}
	reached := 0
	for _, n := range nodes {
		if len(n.calls()) > 0 {
			reached++
		}
		for _, md := range n.calls() {
			request, sent := strings.Join(md.Get("reprise-request-id"), ""), strings.Join(md.Get("reprise-request-time"), "")
			if seen[request] == nil {
				seen[request] = map[string]int{}
			}
			seen[request][sent]++
			if hub := md.Get("taskhub"); len(hub) != 1 || hub[0] != "h" {
				t.Errorf("task hub %q", hub)
			}
		}
	}
	if reached != 3 {
		t.Errorf("%d of 3 nodes were asked", reached)
	}
	if len(seen) != 2 || seen[""] != nil {
		t.Errorf("two starts were the requests %v", seen)
	}
	for request, sent := range seen {
		if len(sent) != 1 {
			t.Errorf("request %s was sent with the times %v", request, sent)
		}
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	for _, c := range []struct {
		code   codes.Code
		reason string
		want   error
	}{
		{codes.AlreadyExists, "exists", ErrExists},
		{codes.InvalidArgument, "invalid", ErrInvalid},
		{codes.InvalidArgument, "too-large", ErrTooLarge},
		{codes.FailedPrecondition, "request-expired", ErrExpired},
		{codes.NotFound, "", ErrNotFound},
		{codes.Unimplemented, "", ErrNotSupported},
		{codes.ResourceExhausted, "", ErrTooLarge},
	} {
		got := classify(t.Context(), status.Error(c.code, "said"), metadata.Pairs("reprise-error", c.reason))
		if !errors.Is(got.err, c.want) || got.again || got.err.Error() != "said" {
			t.Errorf("%v %q: %+v; want %v", c.code, c.reason, got, c.want)
		}
		if c.want != ErrNotFound && !errors.Is(got.err, ErrRefused) {
			t.Errorf("%v is no refusal", c.want)
		}
	}
	n := &fakeNode{start: fails(codes.AlreadyExists)}
	if _, err := connect(t, []*fakeNode{n}).Start(t.Context(), "o", nil, WithID("i")); !errors.Is(err, ErrExists) || len(n.calls()) != 1 {
		t.Errorf("%v after %d calls", err, len(n.calls()))
	}
}

// TestTooOldIsStampedAnew: a request that is too old by the partition's clock takes
// that clock for its stamp and is sent again, unless an earlier attempt may have
// been executed: then its outcome is unknown.
func TestTooOldIsStampedAnew(t *testing.T) {
	ahead := time.Now().Add(time.Hour).Truncate(0)
	clock := strconv.FormatInt(ahead.UnixNano(), 10)
	tooOld := said{codes.FailedPrecondition, metadata.Pairs("reprise-error", "request-expired", "reprise-partition-time", clock)}
	unclear := said{codes.FailedPrecondition, metadata.Pairs("reprise-error", "request-expired")}
	full := said{codes.ResourceExhausted, metadata.Pairs("reprise-error", "overloaded")}
	away := said{codes.Unavailable, metadata.Pairs("reprise-error", "not-leading")}
	lost := said{codes.Unavailable, nil}
	for _, c := range []struct {
		name  string
		says  []said
		calls int
		anew  int // from which call on the stamp is the partition's clock; 0: never
		want  error
	}{
		{"the first attempt", []said{tooOld}, 2, 1, nil},
		{"twice", []said{tooOld, tooOld}, 3, 1, nil},
		{"after a refusal", []said{full, tooOld}, 3, 2, nil},
		{"a refusal between", []said{tooOld, full}, 3, 1, nil},
		{"without the clock", []said{unclear}, 1, 0, ErrExpired},
		{"after a lost leader", []said{away, tooOld}, 2, 0, ErrExpired},
		{"after a lost answer", []said{lost, tooOld}, 2, 0, ErrExpired},
		{"a lost answer between", []said{tooOld, lost, tooOld}, 3, 1, ErrExpired},
	} {
		n := &fakeNode{says: c.says, start: works}
		_, err := connect(t, []*fakeNode{n}).Start(t.Context(), "o", nil)
		if !errors.Is(err, c.want) || len(n.calls()) != c.calls {
			t.Errorf("%s: %v after %d calls, want %v after %d", c.name, err, len(n.calls()), c.want, c.calls)
		}
		ids := map[string]bool{}
		for i, md := range n.calls() {
			ids[strings.Join(md.Get("reprise-request-id"), "")] = true
			if anew := md.Get("reprise-request-time")[0] == clock; anew != (c.anew > 0 && i >= c.anew) {
				t.Errorf("%s: call %d has the partition's clock: %v", c.name, i, anew)
			}
		}
		if len(ids) != 1 {
			t.Errorf("%s: request IDs %v", c.name, ids)
		}
	}
	// An address where nobody answers was no attempt.
	n := &fakeNode{says: []said{tooOld}, start: works}
	node := connect(t, []*fakeNode{n})
	node.nodes.given = []string{"nobody", "n1"}
	node.nodes.turn = 1
	if _, err := node.Start(t.Context(), "o", nil); err != nil || len(n.calls()) != 2 {
		t.Errorf("after an address where nobody answers: %v after %d calls", err, len(n.calls()))
	}
}

func TestPatienceEnds(t *testing.T) {
	n := &fakeNode{start: fails(codes.Unavailable)}
	_, err := connect(t, []*fakeNode{n}, WithPatience(50*time.Millisecond)).Start(t.Context(), "o", nil)
	if !errors.Is(err, ErrUnavailable) || len(n.calls()) < 2 {
		t.Errorf("%v after %d calls", err, len(n.calls()))
	}
}

func TestContextEndsACall(t *testing.T) {
	n := &fakeNode{start: fails(codes.Unavailable), wait: func(ctx context.Context) (*durabletask.OrchestrationState, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := connect(t, []*fakeNode{n})
	for name, call := range map[string]func(context.Context) error{
		"start": func(ctx context.Context) error { _, err := c.Start(ctx, "o", nil); return err },
		"wait":  func(ctx context.Context) error { _, err := c.Wait(ctx, "i"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// TestFollowsLeaders: once routes are known, requests go to the leader alone; when
// it cannot answer, to the others.
func TestFollowsLeaders(t *testing.T) {
	routes := &reprisev1.GetRoutesResponse{
		Addresses: []string{"n1", "n2", "n3"},
		Routes:    []*reprisev1.Route{{Leader: "n2", ApiAddress: "n2", Slots: []*reprisev1.SlotRange{{First: 0, Last: history.Slots - 1}}}},
	}
	nodes := []*fakeNode{{start: works, routes: routes}, {start: works, routes: routes}, {start: works, routes: routes}}
	c := connect(t, nodes)
	c.nodes.learn(routes)
	for range 10 {
		if _, err := c.Start(t.Context(), "o", nil); err != nil {
			t.Fatal(err)
		}
	}
	if led := len(nodes[1].calls()); led != 10 {
		t.Errorf("the leader got %d of 10 requests", led)
	}
	nodes[1].start = fails(codes.Unavailable)
	if _, err := c.Start(t.Context(), "o", nil); err != nil {
		t.Errorf("after the leader was lost: %v", err)
	}
}

// TestWaitIsReissued: a wait whose node is lost goes on at another one.
func TestWaitIsReissued(t *testing.T) {
	lost := func(context.Context) (*durabletask.OrchestrationState, error) {
		return nil, status.Error(codes.Unavailable, "the node is stopping")
	}
	done := func(context.Context) (*durabletask.OrchestrationState, error) {
		return &durabletask.OrchestrationState{InstanceId: "i", OrchestrationStatus: durabletask.OrchestrationStatus_ORCHESTRATION_STATUS_COMPLETED, Output: wrapperspb.Bytes([]byte(`42`))}, nil
	}
	c := connect(t, []*fakeNode{{wait: lost}, {wait: lost}, {wait: done}})
	h := Attach(c, reprise.NewOrchestration[reprise.None, int]("o"), "i")
	if got, err := h.Result(t.Context()); err != nil || got != 42 {
		t.Errorf("%v, %v", got, err)
	}
}

var errDeclined = reprise.NewError("test.declined", "declined")

func TestResultKeepsTheError(t *testing.T) {
	state := func(f *history.Failure, s history.Status) func(context.Context) (*durabletask.OrchestrationState, error) {
		return func(context.Context) (*durabletask.OrchestrationState, error) {
			return &durabletask.OrchestrationState{InstanceId: "i", OrchestrationStatus: durabletask.OrchestrationStatus(s), FailureDetails: wire.FromFailure(f)}, nil
		}
	}
	o := reprise.NewOrchestration[int, int]("o")
	failure := reprise.FailureOf(reprise.JSON, fmt.Errorf("charge: %w", errDeclined))
	_, err := Attach(connect(t, []*fakeNode{{wait: state(failure, history.Failed)}}), o, "i").Result(t.Context())
	var ended *EndedError
	if !errors.Is(err, errDeclined) || !errors.As(err, &ended) || ended.Instance.Status != history.Failed {
		t.Errorf("failed: %v", err)
	}
	_, err = Attach(connect(t, []*fakeNode{{wait: state(nil, history.Terminated)}}), o, "i").Result(t.Context())
	if !errors.As(err, &ended) || ended.Instance.Status != history.Terminated {
		t.Errorf("terminated: %v", err)
	}
	byCode := reprise.FailureOf(reprise.JSON, fmt.Errorf("step: %w", &reprise.CanceledError{Reason: "enough"}))
	byServer := &history.Failure{Type: history.FailureCanceled, Message: "canceled before it began"}
	for _, failure := range []*history.Failure{byCode, byServer} {
		_, err = Attach(connect(t, []*fakeNode{{wait: state(failure, history.Canceled)}}), o, "i").Result(t.Context())
		if !errors.Is(err, reprise.ErrCanceled) || !errors.As(err, &ended) || ended.Instance.Status != history.Canceled {
			t.Errorf("canceled: %v", err)
		}
	}
	unknown := func(context.Context) (*durabletask.OrchestrationState, error) { return nil, nil }
	if _, err := Attach(connect(t, []*fakeNode{{wait: unknown}}), o, "i").Result(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

// TestHistoryGoesOnElsewhere: each event comes once, although a node is lost in
// the middle.
func TestHistoryGoesOnElsewhere(t *testing.T) {
	var events []*durabletask.HistoryEvent
	for i := range 10 {
		m, err := wire.FromEvent(history.Event{ID: int32(i), Body: &history.TimerCreated{}}, "i")
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, m)
	}
	upTo := func(n int, end error) func(grpc.ServerStreamingServer[durabletask.HistoryChunk]) error {
		return func(out grpc.ServerStreamingServer[durabletask.HistoryChunk]) error {
			if err := out.Send(&durabletask.HistoryChunk{Events: events[:n]}); err != nil {
				return err
			}
			return end
		}
	}
	lost := status.Error(codes.Unavailable, "lost")
	c := connect(t, []*fakeNode{{stream: upTo(3, lost)}, {stream: upTo(7, lost)}, {stream: upTo(10, nil)}})
	var got []int32
	for e, err := range c.History(t.Context(), "i", "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.ID)
	}
	if want := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	for range c.History(t.Context(), "i", "") {
		break // leaving early is fine
	}
}

func TestStatus(t *testing.T) {
	c := connect(t, []*fakeNode{{detail: func(context.Context) (*reprisev1.GetInstanceDetailResponse, error) {
		return &reprisev1.GetInstanceDetailResponse{Exists: true, State: &durabletask.OrchestrationState{InstanceId: "i"}, HistoryEvents: 3, Waiting: []string{"a timer"}, Parked: "p"}, nil
	}}})
	in, err := c.Status(t.Context(), "i")
	if err != nil || in.ID != "i" || in.HistoryEvents != 3 || len(in.Waiting) != 1 || in.Parked != "p" {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestBadCalls(t *testing.T) {
	if _, err := Dial(nil); err == nil {
		t.Error("no address was taken")
	}
	if _, err := Dial([]string{"a"}, WithTaskHub("a#b")); err == nil {
		t.Error("a bad task hub was taken")
	}
	n := &fakeNode{start: works}
	c := connect(t, []*fakeNode{n})
	if _, err := c.Start(t.Context(), "o", nil, WithID("a/b")); !errors.Is(err, ErrInvalid) || len(n.calls()) != 0 {
		t.Errorf("bad ID: %v after %d calls", err, len(n.calls()))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Start(t.Context(), "o", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReuseOnTheWire(t *testing.T) {
	var got *durabletask.OrchestrationIdReusePolicy
	c := connect(t, []*fakeNode{{start: func(m *durabletask.CreateInstanceRequest) error {
		got = m.GetOrchestrationIdReusePolicy()
		return nil
	}}})
	for _, r := range []struct {
		reuse    Reuse
		statuses int
		keep     bool
	}{{RefuseAny(), 0, false}, {ReplaceAny(), 7, false}, {ReplaceIn(history.Failed), 1, false}, {KeepIn(), 7, true}} {
		if _, err := c.Start(t.Context(), "o", nil, WithReuse(r.reuse)); err != nil {
			t.Fatal(err)
		}
		if len(got.GetReplaceableStatus()) != r.statuses || (got.GetAction() != 0) != r.keep {
			t.Errorf("%+v became %v", r.reuse, got)
		}
	}
}
