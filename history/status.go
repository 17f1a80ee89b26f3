package history

import "fmt"

// Status is the runtime status of an orchestration. The numbers are those of
// the Durable Task protocol (OrchestrationStatus); they are stored.
type Status uint8

// The statuses of an orchestration.
const (
	Running        Status = 0
	Completed      Status = 1
	ContinuedAsNew Status = 2 // a decision, never a resting state
	Failed         Status = 3
	Canceled       Status = 4
	Terminated     Status = 5
	Pending        Status = 6 // started, no episode has run yet
	Suspended      Status = 7
)

var statusNames = [...]string{"Running", "Completed", "ContinuedAsNew", "Failed", "Canceled", "Terminated", "Pending", "Suspended"}

// String returns the name that Durable Functions uses.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Ended reports whether an instance of this status runs no more.
func (s Status) Ended() bool {
	return s == Completed || s == Failed || s == Canceled || s == Terminated
}
