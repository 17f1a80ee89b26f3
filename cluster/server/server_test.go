package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// fake is a backend made of functions.
type fake struct {
	start     func(leader.StartRequest) (leader.StartAnswer, error)
	execute   func(context.Context, leader.StartRequest) (leader.Instance, error)
	terminate func(leader.TerminateRequest) error
	raise     func(leader.RaiseRequest) error
	cancel    func(leader.CancelRequest) error
	complete  func(leader.CompleteRequest) error
	beat      func(leader.HeartbeatRequest) error
	status    func(leader.StatusRequest) (leader.Instance, error)
	wait      func(context.Context, leader.WaitRequest) (leader.Instance, error)
	history   func(leader.HistoryRequest) (leader.HistoryPage, error)
	describe  func() (cluster.Description, error)
	entityFake
	Asked
}

func (f *fake) StartInstance(_ context.Context, r leader.StartRequest) (leader.StartAnswer, error) {
	return f.start(r)
}
func (f *fake) Execute(ctx context.Context, r leader.StartRequest) (leader.Instance, error) {
	return f.execute(ctx, r)
}
func (f *fake) Terminate(_ context.Context, r leader.TerminateRequest) error { return f.terminate(r) }
func (f *fake) Cancel(_ context.Context, r leader.CancelRequest) error       { return f.cancel(r) }
func (f *fake) Raise(_ context.Context, r leader.RaiseRequest) error         { return f.raise(r) }
func (f *fake) Status(_ context.Context, r leader.StatusRequest) (leader.Instance, error) {
	return f.status(r)
}
func (f *fake) Wait(ctx context.Context, r leader.WaitRequest) (leader.Instance, error) {
	return f.wait(ctx, r)
}
func (f *fake) History(_ context.Context, r leader.HistoryRequest) (leader.HistoryPage, error) {
	return f.history(r)
}
func (f *fake) Describe(context.Context) (cluster.Description, error) { return f.describe() }

// dial serves the backend in memory and returns the server and a connection.
func dial(t *testing.T, b Backend) (*Server, *grpc.ClientConn) {
	t.Helper()
	return dialWith(t, b, Config{Logger: slog.New(slog.DiscardHandler)})
}

func dialWith(t *testing.T, b Backend, c Config) (*Server, *grpc.ClientConn) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := New(b, c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop(t.Context())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, conn
}

func hub(t *testing.T, b Backend) durabletask.TaskHubSidecarServiceClient {
	_, conn := dial(t, b)
	return durabletask.NewTaskHubSidecarServiceClient(conn)
}

func TestHello(t *testing.T) {
	if _, err := hub(t, &fake{}).Hello(t.Context(), &emptypb.Empty{}); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotThereIsUnimplemented(t *testing.T) {
	_, err := hub(t, &fake{}).SuspendInstance(t.Context(), &durabletask.SuspendRequest{InstanceId: "i"})
	if status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

var anyHex = regexp.MustCompile(`^[0-9a-f]{32}$`)

func TestStart(t *testing.T) {
	later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	replace := durabletask.OrchestrationStatus_ORCHESTRATION_STATUS_FAILED
	for name, c := range map[string]struct {
		req  *durabletask.CreateInstanceRequest
		md   []string
		want leader.StartRequest // Execution is checked apart
	}{
		"as a JavaScript client sends it": {
			req: &durabletask.CreateInstanceRequest{InstanceId: "i", Name: "o", Input: wrapperspb.Bytes(nil), ScheduledStartTimestamp: timestamppb.New(time.Unix(0, 0))},
			want: leader.StartRequest{
				Instance: leader.InstanceRef{Hub: "default", ID: "i"}, Name: "o", Input: history.Payload{}},
		},
		"with everything": {
			req: &durabletask.CreateInstanceRequest{
				InstanceId: "i", Name: "o", Version: wrapperspb.String("2"), Input: wrapperspb.Bytes([]byte("1")), ScheduledStartTimestamp: timestamppb.New(later),
				Tags: map[string]string{"a": "b"}, ParentTraceContext: &durabletask.TraceContext{TraceParent: "00", TraceState: wrapperspb.String("a=1")}, Timeout: durationpb.New(time.Hour),
				OrchestrationIdReusePolicy: &durabletask.OrchestrationIdReusePolicy{ReplaceableStatus: []durabletask.OrchestrationStatus{replace}},
			},
			md: []string{"taskhub", "h", "reprise-request-id", "r", "reprise-request-time", "1000000000"},
			want: leader.StartRequest{
				Instance: leader.InstanceRef{Hub: "h", ID: "i"}, Name: "o", Version: "2", Input: history.Payload("1"), ScheduledStart: later,
				Tags: map[string]string{"a": "b"}, Trace: history.Trace{Parent: "00", State: "a=1"}, Timeout: time.Hour, Reuse: leader.ReusePolicy{history.Failed: leader.Replace},
				Identity: leader.RequestIdentity{ID: "r", Sent: time.Unix(1, 0).UTC()},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got leader.StartRequest
			c1 := hub(t, &fake{start: func(r leader.StartRequest) (leader.StartAnswer, error) {
				got = r
				return leader.StartAnswer{Execution: r.Execution, Started: true}, nil
			}})
			answer, err := c1.StartInstance(metadata.AppendToOutgoingContext(t.Context(), c.md...), c.req)
			if err != nil {
				t.Fatal(err)
			}
			if answer.GetInstanceId() != "i" || !anyHex.MatchString(string(got.Execution)) {
				t.Errorf("instance %q, execution %q", answer.GetInstanceId(), got.Execution)
			}
			got.Execution = ""
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestStartWithoutID(t *testing.T) {
	var got leader.StartRequest
	answer, err := hub(t, &fake{start: func(r leader.StartRequest) (leader.StartAnswer, error) {
		got = r
		return leader.StartAnswer{}, nil
	}}).StartInstance(t.Context(), &durabletask.CreateInstanceRequest{Name: "o"})
	if err != nil {
		t.Fatal(err)
	}
	if id := answer.GetInstanceId(); !anyHex.MatchString(id) || id != string(got.Instance.ID) {
		t.Errorf("answered %q, started %q", id, got.Instance.ID)
	}
}

func TestRefusedBeforeTheBackend(t *testing.T) {
	live := []durabletask.OrchestrationStatus{durabletask.OrchestrationStatus_ORCHESTRATION_STATUS_RUNNING}
	ok := &durabletask.CreateInstanceRequest{InstanceId: "i", Name: "o"}
	for name, c := range map[string]struct {
		req  *durabletask.CreateInstanceRequest
		md   []string
		text string
	}{
		"slash":       {&durabletask.CreateInstanceRequest{InstanceId: "a/b", Name: "o"}, nil, "has the character"},
		"entity":      {&durabletask.CreateInstanceRequest{InstanceId: "@a", Name: "o"}, nil, "begins with @"},
		"long":        {&durabletask.CreateInstanceRequest{InstanceId: strings.Repeat("x", 257), Name: "o"}, nil, "257 bytes"},
		"no name":     {&durabletask.CreateInstanceRequest{InstanceId: "i"}, nil, "no orchestration name"},
		"task hub":    {ok, []string{"taskhub", "a#b"}, "task hub"},
		"time":        {ok, []string{"reprise-request-id", "r", "reprise-request-time", "noon"}, "noon"},
		"request ID":  {ok, []string{"reprise-request-id", strings.Repeat("x", 200), "reprise-request-time", "1"}, "200 bytes"},
		"live, not T": {&durabletask.CreateInstanceRequest{InstanceId: "i", Name: "o", OrchestrationIdReusePolicy: &durabletask.OrchestrationIdReusePolicy{ReplaceableStatus: live}}, nil, "Invalid reusable statuses: cannot exclude 'Terminated' while also allowing reuse of running instances"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hub(t, &fake{}).StartInstance(metadata.AppendToOutgoingContext(t.Context(), c.md...), c.req)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}

func TestReusePolicies(t *testing.T) {
	statuses := func(s ...history.Status) []durabletask.OrchestrationStatus {
		var all []durabletask.OrchestrationStatus
		for _, one := range s {
			all = append(all, durabletask.OrchestrationStatus(one))
		}
		return all
	}
	const ignore = durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_IGNORE
	const terminate = durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_TERMINATE
	for name, c := range map[string]struct {
		policy *durabletask.OrchestrationIdReusePolicy
		want   leader.ReusePolicy
	}{
		"none":           {nil, nil},
		"refuse any":     {&durabletask.OrchestrationIdReusePolicy{}, leader.ReusePolicy{}},
		"replace":        {&durabletask.OrchestrationIdReusePolicy{ReplaceableStatus: statuses(history.Failed)}, leader.ReusePolicy{history.Failed: leader.Replace}},
		"replace live":   {&durabletask.OrchestrationIdReusePolicy{ReplaceableStatus: statuses(history.Running, history.Terminated)}, leader.ReusePolicy{history.Running: leader.Replace, history.Terminated: leader.Replace}},
		"old: ignore":    {&durabletask.OrchestrationIdReusePolicy{ReplaceableStatus: statuses(history.Running), Action: ignore}, leader.ReusePolicy{history.Running: leader.KeepExisting}},
		"old: terminate": {&durabletask.OrchestrationIdReusePolicy{ReplaceableStatus: statuses(history.Running), Action: terminate}, leader.ReusePolicy{history.Running: leader.Replace}},
	} {
		got, err := reusePolicy(c.policy)
		if err != nil || !reflect.DeepEqual(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
	if _, err := reusePolicy(&durabletask.OrchestrationIdReusePolicy{Action: 9}); !errors.Is(err, leader.ErrInvalid) {
		t.Errorf("unknown action: %v", err)
	}
}

func TestErrorsBecomeCodes(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{fmt.Errorf("x: %w", leader.ErrExists), codes.AlreadyExists, "exists"},
		{leader.ErrFull, codes.ResourceExhausted, "full"},
		{leader.ErrNotFound, codes.NotFound, "not-found"},
		{leader.ErrNotLeading, codes.Unavailable, "not-leading"},
		{leader.ErrOverloaded, codes.ResourceExhausted, "overloaded"},
		{leader.ErrRequestExpired, codes.FailedPrecondition, "request-expired"},
		{fmt.Errorf("x: %w", &leader.ExpiredError{Clock: time.Unix(5, 6)}), codes.FailedPrecondition, "request-expired"},
		{leader.ErrTooLarge, codes.InvalidArgument, "too-large"},
		{leader.ErrInvalid, codes.InvalidArgument, "invalid"},
		{fmt.Errorf("%w: %w", cluster.ErrUnavailable, leader.ErrNotFound), codes.Unavailable, "unavailable"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, ""},
		{errors.New("surprise"), codes.Internal, ""},
	} {
		var trailer metadata.MD
		_, err := hub(t, &fake{terminate: func(leader.TerminateRequest) error { return c.err }}).
			TerminateInstance(t.Context(), &durabletask.TerminateRequest{InstanceId: "i"}, grpc.Trailer(&trailer))
		reason := strings.Join(trailer.Get("reprise-error"), "")
		if status.Code(err) != c.code || reason != c.reason {
			t.Errorf("%v: %v (%q), want %v (%q)", c.err, err, reason, c.code, c.reason)
		}
		clock := ""
		if errors.As(c.err, new(*leader.ExpiredError)) {
			clock = "5000000006"
		}
		if got := strings.Join(trailer.Get("reprise-partition-time"), ""); got != clock {
			t.Errorf("%v: the partition's clock is %q, want %q", c.err, got, clock)
		}
	}
	if text := leader.ErrExists.Error(); !strings.Contains(text, "orchestration instance already exists") {
		t.Errorf("a Go client's test wants another text than %q", text)
	}
}

func TestRaiseEvent(t *testing.T) {
	var got leader.RaiseRequest
	c := hub(t, &fake{raise: func(r leader.RaiseRequest) error { got = r; return nil }})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "taskhub", "shop", "reprise-request-id", "r1", "reprise-request-time", "5000000000")
	_, err := c.RaiseEvent(ctx, &durabletask.RaiseEventRequest{InstanceId: "i", Name: "Approved", Input: wrapperspb.Bytes([]byte(`{"ok":true}`)),
		ParentTraceContext: &durabletask.TraceContext{TraceParent: "00", TraceState: wrapperspb.String("a=1")}})
	want := leader.RaiseRequest{
		Instance: leader.InstanceRef{Hub: "shop", ID: "i"}, Name: "Approved", Data: history.Payload(`{"ok":true}`), Trace: history.Trace{Parent: "00", State: "a=1"},
		Identity: leader.RequestIdentity{ID: "r1", Sent: time.Unix(5, 0).UTC()},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestCancelInstance(t *testing.T) {
	var got leader.CancelRequest
	answer := error(nil)
	_, conn := dial(t, &fake{cancel: func(r leader.CancelRequest) error { got = r; return answer }})
	c := reprisev1.NewCancelServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "taskhub", "shop", "reprise-request-id", "r1", "reprise-request-time", "5000000000")
	_, err := c.CancelInstance(ctx, &reprisev1.CancelInstanceRequest{InstanceId: "i", Reason: "enough"})
	want := leader.CancelRequest{
		Instance: leader.InstanceRef{Hub: "shop", ID: "i"}, Reason: "enough", Identity: leader.RequestIdentity{ID: "r1", Sent: time.Unix(5, 0).UTC()},
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	answer = leader.ErrNotFound
	if _, err := c.CancelInstance(ctx, &reprisev1.CancelInstanceRequest{InstanceId: "i"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
}

func TestUnknownInstanceDoesNotExist(t *testing.T) {
	_, conn := dial(t, &fake{
		status: func(leader.StatusRequest) (leader.Instance, error) { return leader.Instance{}, leader.ErrNotFound },
		wait: func(context.Context, leader.WaitRequest) (leader.Instance, error) {
			return leader.Instance{}, leader.ErrNotFound
		},
	})
	c := durabletask.NewTaskHubSidecarServiceClient(conn)
	req := &durabletask.GetInstanceRequest{InstanceId: "i"}
	got, err := c.GetInstance(t.Context(), req)
	waited, waitErr := c.WaitForInstanceCompletion(t.Context(), req)
	detail, detailErr := reprisev1.NewRepriseServiceClient(conn).GetInstanceDetail(t.Context(), &reprisev1.GetInstanceDetailRequest{InstanceId: "i"})
	if err != nil || waitErr != nil || detailErr != nil || got.GetExists() || waited.GetExists() || detail.GetExists() {
		t.Errorf("%v %v, %v %v, %v %v", got, err, waited, waitErr, detail, detailErr)
	}
}

func TestPayloadsOnlyWhereAskedFor(t *testing.T) {
	c := hub(t, &fake{status: func(r leader.StatusRequest) (leader.Instance, error) {
		return leader.Instance{Ref: r.Instance, Status: history.Failed, Input: history.Payload("1"), Output: history.Payload("2"), CustomStatus: history.Payload("3"), Failure: &history.Failure{Message: "m"}}, nil
	}})
	for _, payloads := range []bool{false, true} {
		got, err := c.GetInstance(t.Context(), &durabletask.GetInstanceRequest{InstanceId: "i", GetInputsAndOutputs: payloads})
		if err != nil {
			t.Fatal(err)
		}
		s := got.GetOrchestrationState()
		if (s.Input != nil) != payloads || (s.Output != nil) != payloads || (s.CustomStatus != nil) != payloads || (s.FailureDetails != nil) != payloads {
			t.Errorf("payloads %v: %v", payloads, s)
		}
		if s.GetOrchestrationStatus() != durabletask.OrchestrationStatus_ORCHESTRATION_STATUS_FAILED {
			t.Errorf("status %v", s.GetOrchestrationStatus())
		}
	}
}

// waiting returns a backend whose waits last until their context ends, and the
// channels that tell when one begins and ends.
func waiting() (f *fake, began, ended chan struct{}) {
	began, ended = make(chan struct{}, 1), make(chan struct{}, 1)
	return &fake{wait: func(ctx context.Context, _ leader.WaitRequest) (leader.Instance, error) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return leader.Instance{}, ctx.Err()
	}}, began, ended
}

func TestCancelledWaitDropsItsWaiter(t *testing.T) {
	f, began, ended := waiting()
	c := hub(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	_, err := c.WaitForInstanceCompletion(ctx, &durabletask.GetInstanceRequest{InstanceId: "i"})
	if status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	<-ended
}

func TestStopEndsWaits(t *testing.T) {
	f, began, _ := waiting()
	s, conn := dial(t, f)
	stopped := make(chan struct{})
	go func() { <-began; s.Stop(t.Context()); close(stopped) }()
	_, err := durabletask.NewTaskHubSidecarServiceClient(conn).WaitForInstanceStart(t.Context(), &durabletask.GetInstanceRequest{InstanceId: "i"})
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	<-stopped
}

// TestStopEndsExecutions stops a server while a caller waits for the end of what he has
// started; he asks another node with the same request.
func TestStopEndsExecutions(t *testing.T) {
	began := make(chan struct{})
	f := &fake{execute: func(ctx context.Context, _ leader.StartRequest) (leader.Instance, error) {
		close(began)
		<-ctx.Done()
		return leader.Instance{}, ctx.Err()
	}}
	s, conn := dial(t, f)
	stopped := make(chan struct{})
	go func() { <-began; s.Stop(t.Context()); close(stopped) }()
	_, err := reprisev1.NewOrchestrationServiceClient(conn).ExecuteInstance(t.Context(), &reprisev1.ExecuteInstanceRequest{
		Start: &durabletask.CreateInstanceRequest{InstanceId: "i", Name: "o"}})
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	<-stopped
}

func TestHistoryStream(t *testing.T) {
	const pages, perPage = 3, 400
	f := &fake{history: func(r leader.HistoryRequest) (leader.HistoryPage, error) {
		if r.Instance.ID != "i" {
			return leader.HistoryPage{}, leader.ErrNotFound
		}
		if r.FromEpisode > 0 && r.Execution != "e" {
			return leader.HistoryPage{}, errors.New("the execution changed on the way")
		}
		page := leader.HistoryPage{Execution: "e", NextEpisode: r.FromEpisode + 1}
		if page.NextEpisode == pages {
			page.NextEpisode = 0
		}
		for i := range perPage {
			page.Events = append(page.Events, history.Event{ID: int32(i), Body: &history.TimerCreated{}})
		}
		page.Events = append(page.Events, history.Event{ID: perPage, Body: &history.TimerCanceled{}})
		return page, nil
	}}
	_, conn := dial(t, f)
	count := func(stream grpc.ServerStreamingClient[durabletask.HistoryChunk], err error) (n int, _ error) {
		if err != nil {
			return 0, err
		}
		for {
			chunk, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			if err != nil {
				return n, err
			}
			if len(chunk.GetEvents()) > chunkEvents || len(chunk.GetEvents()) == 0 {
				t.Errorf("a chunk of %d events", len(chunk.GetEvents()))
			}
			n += len(chunk.GetEvents())
		}
	}
	theirs, ours := durabletask.NewTaskHubSidecarServiceClient(conn), reprisev1.NewRepriseServiceClient(conn)
	req := &durabletask.StreamInstanceHistoryRequest{InstanceId: "i"}
	if n, err := count(theirs.StreamInstanceHistory(t.Context(), req)); err != nil || n != pages*perPage {
		t.Errorf("%d events, %v; want %d: SDKs fail on events that are our own", n, err, pages*perPage)
	}
	if n, err := count(ours.StreamHistory(t.Context(), req)); err != nil || n != pages*(perPage+1) {
		t.Errorf("%d events, %v; want %d", n, err, pages*(perPage+1))
	}
	if _, err := count(theirs.StreamInstanceHistory(t.Context(), &durabletask.StreamInstanceHistoryRequest{InstanceId: "j"})); status.Code(err) != codes.NotFound {
		t.Errorf("unknown instance: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	_, conn := dial(t, &fake{describe: func() (cluster.Description, error) {
		return cluster.Description{
			Nodes: []cluster.NodeDescription{{Name: "n1", State: cluster.NodeAlive, APIAddr: "a:1"}, {Name: "n2", State: cluster.NodeDead, APIAddr: "a:2"}},
			Partitions: []cluster.PartitionDescription{
				{ID: 0, Leader: "n1"},
				{ID: 1, Leader: "n1", Slots: []cluster.SlotRange{{First: 0, Last: 9}}},
				{ID: 2, Leader: "n2", Slots: []cluster.SlotRange{{First: 10, Last: 4095}}},
			},
		}, nil
	}})
	got, err := reprisev1.NewRepriseServiceClient(conn).GetRoutes(t.Context(), &reprisev1.GetRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.GetAddresses()) != 1 || len(got.GetRoutes()) != 1 || got.GetRoutes()[0].GetApiAddress() != "a:1" || got.GetRoutes()[0].GetSlots()[0].GetLast() != 9 {
		t.Errorf("routes %v", got)
	}
}
