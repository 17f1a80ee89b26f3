package client

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
)

var double = reprise.NewOrchestration[int, int]("double")

func ended(s history.Status, output string) *durabletask.OrchestrationState {
	return &durabletask.OrchestrationState{InstanceId: "i", OrchestrationStatus: durabletask.OrchestrationStatus(s), Output: wrapperspb.Bytes([]byte(output))}
}

// TestExecuteIsRepeated: the start has one identity, whichever node gets it.
func TestExecuteIsRepeated(t *testing.T) {
	var asked []*durabletask.CreateInstanceRequest
	lost := &fakeNode{fakeAsked: fakeAsked{execute: func(m *reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error) {
		asked = append(asked, m.GetStart())
		return nil, status.Error(codes.Unavailable, "lost")
	}}}
	there := &fakeNode{fakeAsked: fakeAsked{execute: func(m *reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error) {
		asked = append(asked, m.GetStart())
		return &reprisev1.ExecuteInstanceResponse{State: ended(history.Completed, "42")}, nil
	}}}
	got, err := Execute(t.Context(), connect(t, []*fakeNode{lost, there}), double, 21, WithTags(map[string]string{"a": "b"}))
	if err != nil || got != 42 {
		t.Fatalf("%v, %v", got, err)
	}
	identities := map[string]bool{}
	for _, md := range append(lost.calls(), there.calls()...) {
		identities[md.Get("reprise-request-id")[0]] = true
	}
	if len(identities) != 1 {
		t.Errorf("the attempts had the identities %v", identities)
	}
	for _, m := range asked {
		if m.GetName() != "double" || m.GetInstanceId() != asked[0].GetInstanceId() || string(m.GetInput().GetValue()) != "21" || m.GetTags()["a"] != "b" {
			t.Errorf("asked to start %v", m)
		}
	}
}

// TestExecuteGoesOnWithAWait: a node that waits no longer says so.
func TestExecuteGoesOnWithAWait(t *testing.T) {
	c := connect(t, []*fakeNode{{
		fakeAsked: fakeAsked{execute: func(*reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error) {
			return &reprisev1.ExecuteInstanceResponse{}, nil
		}},
		wait: func(context.Context) (*durabletask.OrchestrationState, error) {
			return ended(history.Completed, "42"), nil
		},
	}})
	if got, err := Execute(t.Context(), c, double, 21); err != nil || got != 42 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestExecuteTellsHowItEnded(t *testing.T) {
	c := connect(t, []*fakeNode{{fakeAsked: fakeAsked{execute: func(*reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error) {
		return &reprisev1.ExecuteInstanceResponse{State: ended(history.Terminated, `"enough"`)}, nil
	}}}})
	var end *EndedError
	if _, err := Execute(t.Context(), c, double, 21); !errors.As(err, &end) || end.Instance.Status != history.Terminated {
		t.Errorf("terminated: %v", err)
	}
	if _, err := Execute(t.Context(), c, double, 21, WithID("@entity@1")); !errors.Is(err, ErrInvalid) {
		t.Errorf("with the ID of an entity: %v", err)
	}
}
