package leader

import (
	"testing"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// What failures carry counts as payloads do: a fan-out whose activities fail with large
// values is taken in by portions, and an episode that says too much is not recorded.
func TestFailuresWeigh(t *testing.T) {
	failure := &history.Failure{Message: "declined", Data: make(history.Payload, history.MaxPayloadBytes/2)}
	var waiting []*mail
	var decided []history.Event
	for range 100 {
		waiting = append(waiting, &mail{Mail: partition.Mail{Event: history.Event{Body: &history.TaskFailed{Failure: failure}}}})
		decided = append(decided, history.Event{Body: &history.UpdateCompleted{Failure: failure}})
	}
	if n := portion(waiting); n != 1 {
		t.Errorf("one episode takes %d failures of %d bytes", n, failure.Bytes())
	}
	if text := tooMuch(partition.Address{}, &partition.Record{}, history.Episode{Decided: decided}); text == "" {
		t.Errorf("an episode may decide %d failures of %d bytes", len(decided), failure.Bytes())
	}
	results := make([]history.OperationResult, len(decided))
	for i := range results {
		results[i].Failure = failure
	}
	if text := tooMuchOfBatch(partition.Address{}, &partition.Record{}, history.Batch{Results: results}); text == "" {
		t.Errorf("a run may have %d failures of %d bytes", len(results), failure.Bytes())
	}
}
