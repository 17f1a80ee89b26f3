package history

import "testing"

func TestLeavesOpen(t *testing.T) {
	for _, c := range []struct {
		failure Failure
		want    bool
	}{
		{Failure{Type: "*errors.errorString", Message: "no"}, false},
		{Failure{Type: FailureExists}, false},
		{Failure{Type: FailureTooDeep}, false},
		{Failure{Type: FailurePanic}, true},
		{Failure{Type: FailureTimeout}, true},
		{Failure{Type: "*reprise.Error", Code: "reprise.timeout"}, true},
		{Failure{Type: "e", Inner: []*Failure{{Type: "e"}, {Type: "e", Inner: []*Failure{{Type: FailureCanceled}}}}}, true},
		{Failure{Type: "e", Inner: []*Failure{{Type: "e", MayHaveActed: true}}}, true},
	} {
		if got := c.failure.LeavesOpen(); got != c.want {
			t.Errorf("%+v leaves open whether it has acted: %t", c.failure, got)
		}
	}
}
