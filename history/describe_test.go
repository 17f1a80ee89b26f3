package history

import (
	"strings"
	"testing"
)

// One line an event; the lines are what people see in logs and on the command
// line.
func TestDescribe(t *testing.T) {
	var got []string
	for _, e := range every()[:17] {
		got = append(got, Describe(e))
	}
	want := []string{
		`OrchestratorStarted`,
		`ExecutionStarted "order.fulfil" version="2" input={"id":7} parent="i" scheduled=2026-11-23T13:00:00.000000123Z deadline=2026-11-23T14:00:00.000000123Z a:"1" b:"2"`,
		`#9 ExecutionCompleted Failed result=null type="*shop.Error" code="shop.broken" message="broken" non-retriable`,
		`ExecutionTerminated reason="why"`,
		`#0 TaskScheduled "stock.reserve" version="1" input="" attempts=5 timeout=1m0s x:"y"`,
		`TaskCompleted of=#1073741824 result=`,
		`TaskFailed of=#2 type="*shop.Error" code="shop.broken" message="broken" non-retriable`,
		`#3 TaskCanceled of=#0 reason="late"`,
		`#4 TimerCreated fires=2026-11-26T13:00:00.000000123Z`,
		`TimerFired of=#4`,
		`#5 TimerCanceled of=#4`,
		`#6 SubOrchestrationInstanceCreated "shop.kid" version="3" instance="kid" input=1 detached timeout=1h0m0s x:"y"`,
		`SubOrchestrationInstanceCompleted of=#6 result=2`,
		`SubOrchestrationInstanceFailed of=#6 type="*shop.Error" code="shop.broken" message="broken" non-retriable`,
		`#7 SubOrchestrationInstanceCanceled of=#6 request reason="late"`,
		`#8 EventSent "approved" instance="other" input=3`,
		`EventRaised "Approved" input=4`,
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	if got := Describe(Event{}); got != "(no event)" {
		t.Errorf("an event without a body: %s", got)
	}
}

func TestDescribePayload(t *testing.T) {
	for payload, want := range map[string]string{
		"":                             "",
		"text":                         "text",
		"a\nb":                         "(3 bytes)",
		"\xff":                         "(1 bytes)",
		strings.Repeat("x", 81):        strings.Repeat("x", 80) + "… (81 bytes)",
		strings.Repeat("é", 100):       strings.Repeat("é", 40) + "… (200 bytes)",
		"x" + strings.Repeat("é", 100): "x" + strings.Repeat("é", 39) + "… (201 bytes)",
	} {
		if got := describePayload(Payload(payload)); got != want {
			t.Errorf("%q is shown as %q, want %q", payload, got, want)
		}
	}
}
