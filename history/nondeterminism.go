package history

import "fmt"

// A NondeterminismError says that the code, run again against the recorded
// history, decided something else than before. It parks the instance; nothing
// of the episode is recorded.
type NondeterminismError struct {
	// EventIndex is the place in the history, counted from 0.
	EventIndex int
	// Recorded and Decided describe both sides for a person; one of them is empty
	// where the code decided one more or one less.
	Recorded string
	Decided  string
	// Site is the source line ("file.go:12") of the decision or of the await
	// where the code stands.
	Site string
}

func (e *NondeterminismError) Error() string {
	side := func(s string) string {
		if s == "" {
			return "nothing"
		}
		return s
	}
	return fmt.Sprintf("nondeterministic orchestrator: at event %d the history says: %s; the code does: %s (at %s)",
		e.EventIndex, side(e.Recorded), side(e.Decided), e.Site)
}
