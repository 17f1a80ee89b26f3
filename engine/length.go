package engine

// The length of a history from which [Handle.IsHistoryLong] reports true.
const (
	LongHistoryEvents  = 10_000
	LongHistoryPayload = 8 << 20 // bytes
)

// HistoryLength returns how many events were recorded when the episode began.
func (h *Handle) HistoryLength() int { return h.x.length }

// IsHistoryLong reports whether the history that was recorded when the episode began
// has [LongHistoryEvents], or payloads of [LongHistoryPayload] together.
func (h *Handle) IsHistoryLong() bool {
	return h.x.length >= LongHistoryEvents || h.x.payload >= LongHistoryPayload
}
