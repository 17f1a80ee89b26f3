package engine

import "github.com/reprise-run/reprise/history"

// OnCancel says how the code hears that somebody asks it to end; without it, requests
// are ignored. The callback gets the reason; it runs once, on the orchestrator's
// goroutine, in a later wait. It can be set once.
func (h *Handle) OnCancel(told func(reason string)) {
	h.enter("hear of its cancellation")
	h.x.canceled = &Promise{of: aRequest, settled: func(*Promise) { told(h.x.request.Reason) }}
	h.x.tellRequest()
}

// EndCanceled says that a failure which the program returns is its cancellation: the
// execution ends with the status Canceled.
func (h *Handle) EndCanceled() {
	if h.enter("end as canceled"); !h.x.unwinding {
		h.x.endsCanceled = true
	}
}

// AskToEnd decides that a child is asked to end, for the given reason. How it ends is
// awaited as before. It does nothing if the child has ended already.
func (h *Handle) AskToEnd(p *Promise, reason string) {
	h.enter("cancel")
	if p.of == aChild && !h.x.unwinding && h.x.pending[p.id] == p {
		h.decide(&history.SubOrchestrationInstanceCanceled{TaskID: p.id, Request: true, Reason: history.BriefReason(reason)})
	}
}

// cancelRequested takes in a request to end. Only the first one counts.
func (x *Execution) cancelRequested(b *history.ExecutionCancelRequested) {
	if x.request == nil {
		x.request = b
		x.tellRequest()
	}
}

func (x *Execution) tellRequest() {
	if x.request != nil && x.canceled != nil {
		x.settled = append(x.settled, x.canceled)
	}
}

// unseenRequest returns the request to end that the code has not seen, where it ended
// during an episode; nil where there is none.
func (x *Execution) unseenRequest(arrived []history.Event) *history.ExecutionCancelRequested {
	for _, p := range x.settled {
		if p.of == aRequest {
			return x.request
		}
	}
	if x.request != nil {
		return nil
	}
	for _, e := range arrived[x.taken:] {
		if b, ok := e.Body.(*history.ExecutionCancelRequested); ok {
			return b
		}
	}
	return nil
}
