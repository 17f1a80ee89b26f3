package leader

import (
	"context"
	"fmt"
	"strings"

	"github.com/reprise-run/reprise/partition"
)

// watch tells of the instance, from what was seen of it last on, until it has ended, or
// so many times.
func (s *story) watch(id string, answers int) {
	s.mu.Lock()
	seen := s.seen[id]
	s.mu.Unlock()
	go func() {
		for i := 0; answers == 0 || i < answers; i++ {
			a, err := s.leader.Watch(context.Background(), WatchRequest{ref(id), seen})
			if err != nil {
				s.heard("watch of %s: %v", id, err)
				return
			}
			in := a.Instance
			text := fmt.Sprintf("watch of %s: %s %s", id, in.Execution, in.Status)
			if in.CustomStatus != nil {
				text += fmt.Sprintf(" %s", in.CustomStatus)
			}
			if len(in.Tags) > 0 {
				text += fmt.Sprintf(" %v", in.Tags)
			}
			for _, w := range in.Waiting {
				text += "\n  waits for " + w
			}
			if in.Output != nil {
				text += fmt.Sprintf(" output=%s", in.Output)
			}
			s.heard("%s", text)
			s.mu.Lock()
			seen = a.Seen
			s.seen[id] = seen
			s.mu.Unlock()
			if in.Status.Ended() {
				return
			}
		}
	}()
}

func (s *story) status(id string, payloads bool) string {
	in, err := s.leader.Status(context.Background(), StatusRequest{ref(id), payloads})
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s %s %s events=%d\n", in.Ref.ID, in.Execution, in.Name, in.Status, in.HistoryEvents)
	if len(in.Tags) > 0 {
		fmt.Fprintf(&out, "tags %v\n", in.Tags)
	}
	if !in.Deadline.IsZero() {
		fmt.Fprintf(&out, "deadline %s\n", in.Deadline.Sub(s.begin))
	}
	if !in.CancelRequested.IsZero() {
		fmt.Fprintf(&out, "asked at %s to end: %q\n", in.CancelRequested.Sub(s.begin), in.CancelReason)
	}
	if payloads {
		fmt.Fprintf(&out, "input=%s output=%s\n", short(in.Input), short(in.Output))
	}
	if in.Failure != nil {
		fmt.Fprintf(&out, "failure: %s\n", partition.Brief(in.Failure))
	}
	for _, w := range in.Waiting {
		fmt.Fprintf(&out, "waits for %s\n", w)
	}
	return out.String()
}
