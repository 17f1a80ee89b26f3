package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// entityNode is the part of a fakeNode that is about entities.
type entityNode struct {
	signal   func(*durabletask.SignalEntityRequest) error
	entity   func(*durabletask.GetEntityRequest) *durabletask.GetEntityResponse
	entities func(*durabletask.EntityQuery) (*durabletask.QueryEntitiesResponse, error)
}

func (n *fakeNode) SignalEntity(ctx context.Context, m *durabletask.SignalEntityRequest) (*emptypb.Empty, error) {
	n.note(ctx)
	return &emptypb.Empty{}, n.signal(m)
}

func (n *fakeNode) GetEntity(ctx context.Context, m *durabletask.GetEntityRequest) (*durabletask.GetEntityResponse, error) {
	n.note(ctx)
	return n.entity(m), nil
}

func (n *fakeNode) QueryEntities(ctx context.Context, m *durabletask.QueryEntitiesRequest) (*durabletask.QueryEntitiesResponse, error) {
	n.note(ctx)
	return n.entities(m.GetQuery())
}

type tally struct{ N int }

var (
	tallies = reprise.NewEntity[tally]("Tally")
	count   = reprise.NewOperation[int, int](tallies, "count")
)

func TestSignal(t *testing.T) {
	at := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	var got *durabletask.SignalEntityRequest
	left := 2
	n := &fakeNode{entityNode: entityNode{signal: func(m *durabletask.SignalEntityRequest) error {
		if left--; left > 0 {
			return status.Error(codes.Unavailable, "the leader went away")
		}
		got = m
		return nil
	}}}
	c := connect(t, []*fakeNode{n})
	if err := Signal(t.Context(), c, tallies.Key("K"), count, 5, WithSignalAt(at), WithSignalTrace(traced)); err != nil {
		t.Fatal(err)
	}
	want := &durabletask.SignalEntityRequest{
		InstanceId: "@tally@K", Name: "count", Input: wire.FromPayload(history.Payload("5")), ScheduledTime: wire.FromTime(at),
		ParentTraceContext: wire.FromTrace(traced), RequestTime: got.GetRequestTime(),
	}
	if !proto.Equal(got, want) || got.GetRequestTime() == nil {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	calls := n.calls()
	if len(calls) != 2 || calls[0].Get("reprise-request-id")[0] != calls[1].Get("reprise-request-id")[0] || calls[0].Get("reprise-request-id")[0] == "" {
		t.Errorf("a repeated signal is not one request: %v", calls)
	}
	if err := Signal(t.Context(), c, tallies.Key("a/b"), count, 5); !errors.Is(err, ErrInvalid) || len(n.calls()) != 2 {
		t.Errorf("a wrong key: %v after %d calls", err, len(n.calls()))
	}
	nan := reprise.NewOperation[func(), int](tallies, "nan")
	if err := Signal(t.Context(), c, tallies.Key("K"), nan, nil); !errors.Is(err, ErrInvalid) || len(n.calls()) != 2 {
		t.Errorf("an input that cannot be encoded: %v after %d calls", err, len(n.calls()))
	}
}

func TestReadEntity(t *testing.T) {
	n := &fakeNode{entityNode: entityNode{entity: func(m *durabletask.GetEntityRequest) *durabletask.GetEntityResponse {
		e := &durabletask.EntityMetadata{InstanceId: m.GetInstanceId(), LockedBy: wire.FromText("order-42"), BacklogQueueSize: 3}
		switch m.GetInstanceId() {
		case "@tally@none":
			return &durabletask.GetEntityResponse{Entity: e}
		case "@tally@odd":
			e.SerializedState = wire.FromPayload(history.Payload(`"odd"`))
		default:
			e.SerializedState, e.LastModifiedTime = wire.FromPayload(history.Payload(`{"N":7}`)), wire.FromTime(time.Unix(1, 0))
		}
		return &durabletask.GetEntityResponse{Exists: m.GetIncludeState(), Entity: e}
	}}}
	c := connect(t, []*fakeNode{n})
	if state, exists, err := ReadEntity(t.Context(), c, tallies.Key("K")); err != nil || !exists || state.N != 7 {
		t.Errorf("%+v, %v, %v", state, exists, err)
	}
	if state, exists, err := ReadEntity(t.Context(), c, tallies.Key("none")); err != nil || exists || state.N != 0 {
		t.Errorf("one that is not there: %+v, %v, %v", state, exists, err)
	}
	if _, _, err := ReadEntity(t.Context(), c, tallies.Key("odd")); err == nil || !strings.Contains(err.Error(), `state of entity "@tally@odd"`) {
		t.Errorf("one of another type: %v", err)
	}
	if e, err := c.Entity(t.Context(), "@tally@none"); err != nil || e.Exists || e.ID != "@tally@none" || e.LockedBy != "order-42" || e.Backlog != 3 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := c.Entity(t.Context(), "order-42"); !errors.Is(err, ErrInvalid) {
		t.Errorf("an orchestration: %v", err)
	}
}

func TestListEntities(t *testing.T) {
	from := time.Unix(5, 0).UTC()
	var asked []*durabletask.EntityQuery
	page := func(token string, ids ...string) *durabletask.QueryEntitiesResponse {
		m := &durabletask.QueryEntitiesResponse{ContinuationToken: wire.FromText(token)}
		for _, id := range ids {
			m.Entities = append(m.Entities, &durabletask.EntityMetadata{InstanceId: id, SerializedState: wire.FromPayload(history.Payload(`{"N":7}`))})
		}
		return m
	}
	n := &fakeNode{entityNode: entityNode{entities: func(q *durabletask.EntityQuery) (*durabletask.QueryEntitiesResponse, error) {
		asked = append(asked, q)
		switch q.GetContinuationToken().GetValue() {
		case "":
			return page("two", "@tally@1", "@tally@2"), nil
		case "two":
			return page("three"), nil // a page may be empty
		case "three":
			return page("", "@tally@3"), nil
		}
		return nil, status.Error(codes.InvalidArgument, "no such token")
	}}}
	c := connect(t, []*fakeNode{n})
	var got []string
	for e, err := range Entities(t.Context(), c, tallies, WithModified(from, time.Time{})) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Ref, e.State.N))
	}
	if fmt.Sprint(got) != "[@tally@1 7 @tally@2 7 @tally@3 7]" || len(asked) != 3 {
		t.Errorf("%v in %d pages", got, len(asked))
	}
	for _, q := range asked {
		if q.GetInstanceIdStartsWith().GetValue() != "@tally@" || !q.GetIncludeState() || q.GetIncludeTransient() || !wire.Time(q.GetLastModifiedFrom()).Equal(from) || q.LastModifiedTo != nil {
			t.Errorf("asked %v", q)
		}
	}
	for range Entities(t.Context(), c, tallies, WithEntityPrefix("@tally@eu-")) {
		break
	}
	for range Entities(t.Context(), c, tallies, WithEntityPrefix("@other@")) {
		break
	}
	for range c.Entities(t.Context(), WithEntityPrefix("@")) {
		break
	}
	var prefixes []string
	for _, q := range asked[3:] {
		prefixes = append(prefixes, q.GetInstanceIdStartsWith().GetValue())
	}
	if fmt.Sprint(prefixes) != "[@tally@eu- @tally@ @]" { // and a loop that is left asks no more
		t.Errorf("prefixes %v", prefixes)
	}
	n.entities = func(*durabletask.EntityQuery) (*durabletask.QueryEntitiesResponse, error) {
		return nil, status.Error(codes.InvalidArgument, "no")
	}
	failures := 0
	for _, err := range c.Entities(t.Context()) {
		failures++
		if !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	}
	if failures != 1 {
		t.Errorf("%d failures", failures)
	}
}
