package server

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// entityFake is the part of a fake that is about entities.
type entityFake struct {
	signal   func(leader.SignalRequest) error
	entity   func(leader.EntityStatusRequest) (leader.Entity, error)
	entities func(cluster.EntitiesQuery) (cluster.EntitiesList, error)
}

func (f *entityFake) Signal(_ context.Context, r leader.SignalRequest) error { return f.signal(r) }
func (f *entityFake) Entity(_ context.Context, r leader.EntityStatusRequest) (leader.Entity, error) {
	return f.entity(r)
}
func (f *entityFake) Entities(_ context.Context, q cluster.EntitiesQuery) (cluster.EntitiesList, error) {
	return f.entities(q)
}

func TestSignalEntity(t *testing.T) {
	later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	var got leader.SignalRequest
	c := hub(t, &fake{entityFake: entityFake{signal: func(r leader.SignalRequest) error { got = r; return nil }}})
	for name, s := range map[string]struct {
		req  *durabletask.SignalEntityRequest
		md   []string
		want leader.SignalRequest
	}{
		"as other clients send it": {
			req:  &durabletask.SignalEntityRequest{InstanceId: "@counter@Key@1", Name: "Add", RequestId: "6f", ScheduledTime: timestamppb.New(time.Unix(0, 0))},
			want: leader.SignalRequest{Entity: leader.InstanceRef{Hub: "default", ID: "@counter@Key@1"}, Operation: "Add"},
		},
		"with everything": {
			req: &durabletask.SignalEntityRequest{InstanceId: "@Counter@K", Name: "add", Input: wrapperspb.Bytes([]byte("1")), ScheduledTime: timestamppb.New(later),
				ParentTraceContext: &durabletask.TraceContext{TraceParent: "00", TraceState: wrapperspb.String("a=1")}},
			md: []string{"taskhub", "h", "reprise-request-id", "r", "reprise-request-time", "1000000000"},
			want: leader.SignalRequest{Entity: leader.InstanceRef{Hub: "h", ID: "@counter@K"}, Operation: "add", Input: history.Payload("1"), ScheduledTime: later,
				Trace: history.Trace{Parent: "00", State: "a=1"}, Identity: leader.RequestIdentity{ID: "r", Sent: time.Unix(1, 0).UTC()}},
		},
	} {
		if _, err := c.SignalEntity(metadata.AppendToOutgoingContext(t.Context(), s.md...), s.req); err != nil || !reflect.DeepEqual(got, s.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, s.want)
		}
	}
	for id, text := range map[string]string{
		"@e@" + strings.Repeat("x", 98): "length of 101 bytes",
		"@e":                            "is not of the form",
		"order-42":                      "is not of the form",
		"@@key":                         "has no name",
		"@e@a/b":                        "has the character",
	} {
		_, err := c.SignalEntity(t.Context(), &durabletask.SignalEntityRequest{InstanceId: id, Name: "add"})
		_, err2 := c.GetEntity(t.Context(), &durabletask.GetEntityRequest{InstanceId: id})
		if status.Code(err) != codes.InvalidArgument || status.Code(err2) != codes.InvalidArgument || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, %v, want %q", id, err, err2, text)
		}
	}
}

func TestGetEntity(t *testing.T) {
	at := time.Unix(7, 0).UTC()
	c := hub(t, &fake{entityFake: entityFake{entity: func(r leader.EntityStatusRequest) (leader.Entity, error) {
		e := leader.Entity{Ref: r.Entity, LockedBy: "o", Backlog: 3}
		if e.Exists = r.Entity.ID == "@e@there"; e.Exists {
			e.Modified = at
		}
		if r.State && e.Exists {
			e.State = history.Payload(`{}`)
		}
		return e, nil
	}}})
	for _, s := range []struct {
		id            string
		state, exists bool
	}{{"@e@there", true, true}, {"@e@there", false, true}, {"@e@none", true, false}} {
		got, err := c.GetEntity(t.Context(), &durabletask.GetEntityRequest{InstanceId: s.id, IncludeState: s.state})
		if err != nil {
			t.Fatal(err)
		}
		e := got.GetEntity()
		if got.GetExists() != s.exists || e.GetInstanceId() != s.id || (e.SerializedState != nil) != (s.state && s.exists) ||
			e.GetLockedBy().GetValue() != "o" || e.GetBacklogQueueSize() != 3 || (e.LastModifiedTime != nil) != s.exists {
			t.Errorf("%+v: %v", s, got)
		}
	}
}

func TestQueryEntities(t *testing.T) {
	from, to := time.Unix(5, 0).UTC(), time.Unix(6, 0).UTC()
	var got cluster.EntitiesQuery
	c := hub(t, &fake{entityFake: entityFake{entities: func(q cluster.EntitiesQuery) (cluster.EntitiesList, error) {
		got = q
		if q.Token == "last" {
			return cluster.EntitiesList{Entities: []leader.Entity{{Ref: leader.InstanceRef{ID: "@e@2"}}}}, nil
		}
		return cluster.EntitiesList{Entities: []leader.Entity{{Ref: leader.InstanceRef{ID: "@e@1"}, State: history.Payload("1")}}, Token: "last"}, nil
	}}})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "taskhub", "h")
	answer, err := c.QueryEntities(ctx, &durabletask.QueryEntitiesRequest{Query: &durabletask.EntityQuery{
		InstanceIdStartsWith: wrapperspb.String("Counter@K"), LastModifiedFrom: timestamppb.New(from), LastModifiedTo: timestamppb.New(to),
		IncludeState: true, IncludeTransient: true, PageSize: wrapperspb.Int32(5),
	}})
	want := cluster.EntitiesQuery{Hub: "h", Prefix: "@counter@K", From: from, To: to, State: true, Transient: true, Limit: 5}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("asked %+v, want %+v; %v", got, want, err)
	}
	if answer.GetContinuationToken().GetValue() != "last" || answer.GetEntities()[0].GetInstanceId() != "@e@1" || string(answer.GetEntities()[0].GetSerializedState().GetValue()) != "1" {
		t.Errorf("answered %v", answer)
	}
	answer, err = c.QueryEntities(t.Context(), &durabletask.QueryEntitiesRequest{Query: &durabletask.EntityQuery{ContinuationToken: wrapperspb.String("last")}})
	if err != nil || got.Token != "last" || got.Hub != "default" || answer.ContinuationToken != nil || len(answer.GetEntities()) != 1 {
		t.Errorf("the last page: %v, %v, asked %+v", answer, err, got)
	}
	if _, err := c.QueryEntities(t.Context(), &durabletask.QueryEntitiesRequest{}); err != nil || !reflect.DeepEqual(got, cluster.EntitiesQuery{Hub: "default"}) {
		t.Errorf("without a query: %v, asked %+v", err, got)
	}
	for text, want := range map[string]history.InstanceID{"": "", "@": "@", "@Counter": "@counter", "counter": "@counter", "@A@B@C": "@a@B@C", "a@B": "@a@B"} {
		if got := entityPrefix(text); got != want {
			t.Errorf("prefix %q means %q, want %q", text, got, want)
		}
	}
}

func TestCleanEntityStorageFindsNothing(t *testing.T) {
	answer, err := hub(t, &fake{}).CleanEntityStorage(t.Context(), &durabletask.CleanEntityStorageRequest{RemoveEmptyEntities: true, ReleaseOrphanedLocks: true})
	if err != nil || answer.GetEmptyEntitiesRemoved() != 0 || answer.GetOrphanedLocksReleased() != 0 || answer.ContinuationToken != nil {
		t.Errorf("%v, %v", answer, err)
	}
}
