package engine

// The length of a history from which [Handle.IsHistoryLong] reports true.
const (
	longHistoryEvents  = 10_000
	longHistoryPayload = 8 << 20 // bytes
)

// HistoryLength returns how many events were recorded when the episode began.
func (h *Handle) HistoryLength() int { return h.x.length }

// IsHistoryLong reports whether the history that was recorded when the episode began
// has 10,000 events, or payloads of 8 MiB together.
func (h *Handle) IsHistoryLong() bool {
	return h.x.length >= longHistoryEvents || h.x.payload >= longHistoryPayload
}
