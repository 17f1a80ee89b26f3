package history

import "testing"

// The hash is part of the stored form: these numbers never change.
func TestSlotOf(t *testing.T) {
	for _, c := range []struct {
		hub  TaskHub
		id   InstanceID
		want Slot
	}{
		{"default", "order-42", 3171},
		{"default", "", 3408},
		{"", "order-42", 624},
		{"a", "bc", 1703},
		{"ab", "c", 1293},
		{"default", "ünïcödé", 114},
	} {
		if got := SlotOf(c.hub, c.id); got != c.want {
			t.Errorf("SlotOf(%q, %q) = %d, want %d", c.hub, c.id, got, c.want)
		}
	}
}
