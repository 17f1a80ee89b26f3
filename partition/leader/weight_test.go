package leader

import (
	"strings"
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

// What a turn writes fits into an entry, whatever it is that it consists of.
func TestTurnsWeigh(t *testing.T) {
	a := partition.NewAddress(1, history.TaskHub(strings.Repeat("h", history.MaxTaskHubBytes)), history.InstanceID(strings.Repeat("i", history.MaxInstanceIDBytes)))
	child := func(tags, input int) history.Body {
		return &history.SubOrchestrationInstanceCreated{
			Name: "kid", Instance: "kid", Tags: map[string]string{"t": strings.Repeat("x", tags)}, Input: make(history.Payload, input),
		}
	}
	many := func(n int, body history.Body) (all []history.Event) {
		for range n {
			all = append(all, history.Event{Body: body})
		}
		return all
	}
	status := make(history.Payload, history.MaxPayloadBytes)
	picky := &history.TaskOptions{FairnessKey: strings.Repeat("f", history.MaxFairnessKeyBytes), Nodes: make(map[string]string)}
	for i := range history.MaxDemandedLabels {
		picky.Nodes[strings.Repeat(string(rune('a'+i)), history.MaxLabelBytes)] = strings.Repeat("v", history.MaxLabelBytes)
	}
	final := &history.RetryPolicy{MaxAttempts: 2}
	for range 1000 {
		final.NonRetryable = append(final.NonRetryable, strings.Repeat("c", 100))
	}
	for name, c := range map[string]struct {
		episode history.Episode
		fits    bool
	}{
		"children with large tags":        {history.Episode{Decided: many(3500, child(history.MaxTagsBytes-1, 0))}, false},
		"fewer of them":                   {history.Episode{Decided: many(1000, child(history.MaxTagsBytes-1, 0))}, true},
		"two large payloads":              {history.Episode{Decided: many(2, child(0, history.MaxPayloadBytes))}, true},
		"a large status, and many timers": {history.Episode{Decided: many(maxPending, &history.TimerCreated{}), CustomStatus: status}, false},
		"many timers":                     {history.Episode{Decided: many(maxPending, &history.TimerCreated{})}, true},
		"replies beside many timers": {history.Episode{Decided: append(many(maxPending, &history.TimerCreated{}),
			many(300, &history.UpdateCompleted{Result: make(history.Payload, 100<<10)})...)}, false},
		"many activities":                            {history.Episode{Decided: many(maxPending, &history.TaskScheduled{Name: "act"})}, true},
		"many activities that want a certain node":   {history.Episode{Decided: many(maxPending, &history.TaskScheduled{Name: "act", Options: picky})}, false},
		"activities that many failures are final of": {history.Episode{Decided: many(1000, &history.TaskScheduled{Name: "act", Retry: final})}, false},
		"a large status":                             {history.Episode{Decided: many(1, child(0, history.MaxPayloadBytes)), CustomStatus: status}, true},
	} {
		if text := tooMuch(a, &partition.Record{}, c.episode); text == "" != c.fits {
			t.Errorf("%s: %q", name, text)
		}
	}
	if text := tooMuchOfBatch(a, &partition.Record{}, history.Batch{Decided: many(3500, child(history.MaxTagsBytes-1, 0))}); text == "" {
		t.Error("an entity may start children with large tags")
	}
}

// Thousands of updates may be refused at once, each with a long stack.
func TestRefusalsWeigh(t *testing.T) {
	const many = 10_000
	refused := make([]history.Unrecorded, many)
	for i := range refused {
		refused[i] = history.Unrecorded{Index: i, Failure: &history.Failure{
			Type: history.FailurePanic, Code: "shop.sold_out", Message: "sold out", Stack: strings.Repeat("s", 16<<10), NonRetriable: true,
		}}
	}
	refused[many-1].Failure = nil // behind the end
	brieflyRefused(refused)
	bytes := 0
	for _, u := range refused[:many-1] {
		bytes += u.Failure.Bytes()
		if f := u.Failure; f.Type != history.FailurePanic || f.Code != "shop.sold_out" || f.Message != "sold out" || !f.NonRetriable {
			t.Fatalf("%+v", f)
		}
	}
	if bytes > 2*refusalBytes || refused[0].Failure.Stack == "" || refused[many-1].Failure != nil {
		t.Errorf("%d refusals of %d bytes, the first is %+v", many, bytes, refused[0].Failure)
	}
}
