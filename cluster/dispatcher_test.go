package cluster

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

func attemptOf(task int32, epoch uint64) leader.AttemptID {
	return leader.AttemptID{
		Partition: 1, Hub: history.DefaultTaskHub, Instance: "a", Execution: "x", TaskID: task,
		Fence: leader.Fence{Epoch: epoch, N: uint64(task)},
	}
}

// room returns how many attempts are counted at a node, and how many are known.
func (d *dispatcher) room(node peer.NodeID) (counted, known int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[node].ours, len(d.attempts)
}

// However the answer to a survey, the result and its record overtake each other,
// a recorded attempt takes no room.
func TestAdoptedAttemptsGiveTheirRoomBack(t *testing.T) {
	id := attemptOf(1, 4)
	steps := map[string]func(*dispatcher){
		"adopt":    func(d *dispatcher) { d.adopt("b", []leader.AttemptID{id}) },
		"finished": func(d *dispatcher) { d.finished(id) },
		"recorded": func(d *dispatcher) { d.recorded(id) },
	}
	// A leader records the results of earlier reigns only after the survey.
	for _, order := range [][]string{
		{"adopt", "finished", "recorded"},
		{"finished", "adopt", "recorded"},
		{"adopt", "finished", "finished", "recorded"}, // sent twice
	} {
		d := newDispatcher(&Node{self: "a"})
		d.targets["b"] = &target{name: "b", capacity: 1}
		for _, step := range order {
			steps[step](d)
		}
		if counted, known := d.room("b"); counted != 0 || known != 0 {
			t.Errorf("%v: %d counted, %d known", order, counted, known)
		}
	}
}

// An attempt whose result is here takes no room, but it is lost if its node dies
// before the result is recorded.
func TestUnrecordedResultsAreLostWithTheirNode(t *testing.T) {
	d := newDispatcher(&Node{self: "a"})
	d.targets["b"] = &target{name: "b", capacity: 1}
	d.adopt("b", []leader.AttemptID{attemptOf(1, 4)})
	d.finished(attemptOf(1, 4))
	if counted, known := d.room("b"); counted != 0 || known != 1 {
		t.Errorf("%d counted, %d known", counted, known)
	}
}

// A survey does not tell what the leader who asks has given out himself.
func TestSurveyTellsEarlierReigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{self: "a", ctx: context.Background()}
		w := newWorker(n)
		n.worker = w
		for _, id := range []leader.AttemptID{attemptOf(1, 4), attemptOf(2, 5)} {
			w.attempts[id] = &attempt{task: leader.ActivityTask{Attempt: id}}
		}
		ids, ok := w.survey("b", 1, 5)
		if !ok || len(ids) != 1 || ids[0] != attemptOf(1, 4) {
			t.Errorf("told %v, %t", ids, ok)
		}
	})
}

// An attempt that is cancelled while it is on its way to a node is told so there, also if
// the cancellation comes before it.
func TestCancelOnTheWay(t *testing.T) {
	n := &Node{self: "a"}
	n.worker = newWorker(n)
	d := newDispatcher(n)
	to := &target{name: "a", capacity: 1}
	d.targets["a"] = to
	id := attemptOf(1, 4)
	d.attempts[id] = &dispatched{to: "a"}
	d.Cancel(id, "enough") // nobody knows the attempt there
	ctx, cancel := context.WithCancelCause(context.Background())
	task := leader.ActivityTask{Attempt: id}
	n.worker.attempts[id] = &attempt{task: task, cancel: cancel}
	d.settle(to, []leader.ActivityTask{task}, runAnswer{Verdicts: []verdict{verdictTaken}}, true)
	if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), "enough") {
		t.Errorf("the attempt runs on, with the cause %v", cause)
	}
}
