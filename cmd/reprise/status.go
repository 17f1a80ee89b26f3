package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) statusCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "status ID",
		Short: "Show an instance and what it waits for",
		Args:  oneID,
	}
	t.flags(cmd)
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		in, err := c.Status(ctx, history.InstanceID(args[0]))
		if err != nil {
			return err
		}
		if t.output == "json" {
			return p.printJSON(statusJSON(in))
		}
		return p.printStatus(in)
	})
	return cmd
}

// instanceJSON has the field names of Durable Functions' status where that has
// one.
type instanceJSON struct {
	Name               string            `json:"name"`
	InstanceID         string            `json:"instanceId"`
	ExecutionID        string            `json:"executionId"`
	Version            string            `json:"version,omitempty"`
	RuntimeStatus      string            `json:"runtimeStatus"`
	Input              json.RawMessage   `json:"input"`
	CustomStatus       json.RawMessage   `json:"customStatus"`
	Output             json.RawMessage   `json:"output"`
	Failure            *failureJSON      `json:"failure,omitempty"`
	CreatedTime        time.Time         `json:"createdTime"`
	LastUpdatedTime    time.Time         `json:"lastUpdatedTime"`
	CompletedTime      time.Time         `json:"completedTime,omitzero"`
	ScheduledStartTime time.Time         `json:"scheduledStartTime,omitzero"`
	Tags               map[string]string `json:"tags,omitempty"`
	ParentInstanceID   string            `json:"parentInstanceId,omitempty"`
	HistoryEvents      int64             `json:"historyEvents"`
	Waiting            []string          `json:"waiting,omitempty"`
	Parked             string            `json:"parked,omitempty"`
	Deadline           time.Time         `json:"deadline,omitzero"`
	CancelRequest      *cancelJSON       `json:"cancelRequest,omitempty"`
}

// cancelJSON is a request to end that the orchestration has not ended upon yet.
type cancelJSON struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

type failureJSON struct {
	Type    string         `json:"type,omitempty"`
	Code    string         `json:"code,omitempty"`
	Message string         `json:"message"`
	Stack   string         `json:"stack,omitempty"`
	Inner   []*failureJSON `json:"inner,omitempty"`
}

func statusJSON(in client.Instance) instanceJSON {
	out := instanceJSON{
		Name: in.Name, InstanceID: string(in.ID), ExecutionID: string(in.Execution), Version: in.Version,
		RuntimeStatus: in.Status.String(),
		Input:         asJSON(in.Input), CustomStatus: asJSON(in.CustomStatus), Output: asJSON(in.Output),
		Failure:     toFailureJSON(in.Failure),
		CreatedTime: in.Created, LastUpdatedTime: in.Updated,
		CompletedTime: in.Completed, ScheduledStartTime: in.ScheduledStart,
		Tags: in.Tags, ParentInstanceID: string(in.Parent), HistoryEvents: in.HistoryEvents, Waiting: in.Waiting, Parked: in.Parked,
		Deadline: in.Deadline,
	}
	if !in.CancelRequested.IsZero() {
		out.CancelRequest = &cancelJSON{in.CancelRequested, in.CancelReason}
	}
	return out
}

func toFailureJSON(f *history.Failure) *failureJSON {
	if f == nil {
		return nil
	}
	out := &failureJSON{Type: f.Type, Code: f.Code, Message: f.Message, Stack: f.Stack}
	for _, inner := range f.Inner {
		out.Inner = append(out.Inner, toFailureJSON(inner))
	}
	return out
}

// shownBytes is how much of a payload a table shows.
const shownBytes = 200

func shown(p history.Payload) string {
	if len(p) == 0 {
		return "-"
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(p), "\ufffd")), " ")
	if len(text) > shownBytes {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:shownBytes], ""), len(p))
	}
	return text
}

func shownTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

// because is a reason behind something, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (p *program) printStatus(in client.Instance) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n\t") // one column, also of many lines
		fmt.Fprintf(w, "%s\t%s\n", name, text)
	}
	row("ID", "%s", in.ID)
	row("Name", "%s", in.Name)
	if in.Version != "" {
		row("Version", "%s", in.Version)
	}
	if in.Parent != "" {
		row("Parent", "%s", in.Parent)
	}
	row("Status", "%v", in.Status)
	row("Execution", "%s", in.Execution)
	row("Created", "%s", shownTime(in.Created))
	row("Updated", "%s", shownTime(in.Updated))
	if !in.ScheduledStart.IsZero() {
		row("Starts", "%s", shownTime(in.ScheduledStart))
	}
	if !in.Deadline.IsZero() {
		row("Deadline", "%s", shownTime(in.Deadline))
	}
	if !in.CancelRequested.IsZero() {
		row("Asked to end", "%s%s", shownTime(in.CancelRequested), because(in.CancelReason))
	}
	if !in.Completed.IsZero() {
		row("Completed", "%s", shownTime(in.Completed))
	}
	row("Events", "%d", in.HistoryEvents)
	row("Input", "%s", shown(in.Input))
	if in.CustomStatus != nil {
		row("Custom status", "%s", shown(in.CustomStatus))
	}
	if in.Output != nil {
		row("Output", "%s", shown(in.Output))
	}
	if f := in.Failure; f != nil {
		row("Failure", "%v", reprise.ErrorOf(reprise.JSON, f))
		if at := innermost(f.Stack); at != "" {
			row("At", "%s", at)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(in.Tags)) {
		row("Tag", "%s=%s", tag, in.Tags[tag])
	}
	if in.Parked != "" {
		row("Parked", "%s", in.Parked)
	}
	for _, waiting := range in.Waiting {
		row("Waits for", "%s", strings.TrimSuffix(waiting, ": "+in.Parked)) // which is told above
	}
	return w.Flush()
}

// innermost returns the function and the source line that a stack begins with; the whole
// of it is in --output json.
func innermost(stack string) string {
	function, rest, _ := strings.Cut(stack, "\n")
	file, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	if file == "" {
		return function
	}
	return fmt.Sprintf("%s (%s)", function, file)
}

// encoder prints values as JSON, one a line.
func (p *program) encoder() *json.Encoder {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetEscapeHTML(false)
	return encoder
}

// printJSON prints a value as JSON, for people too.
func (p *program) printJSON(v any) error {
	encoder := p.encoder()
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
