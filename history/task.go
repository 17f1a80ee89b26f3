package history

import (
	"fmt"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reprise-run/reprise/internal/pack"
)

// TaskOptions say how an activity is attempted, beyond its retry policy and its
// timeout. They travel with the scheduled activity, and its pending row repeats
// them.
type TaskOptions struct {
	// HeartbeatTimeout is how long an attempt may be silent; 0: for ever.
	HeartbeatTimeout time.Duration
	// ScheduleToStart is how long an attempt may wait for a node that begins it.
	ScheduleToStart time.Duration
	// ScheduleToClose is how long all attempts may take together.
	ScheduleToClose time.Duration
	// AtMostOnce: an attempt whose outcome is unknown is not made again.
	AtMostOnce bool
	// Priority says which of the attempts that wait for room goes first: the highest.
	Priority int32
	// FairnessKey names those who take turns within a priority.
	FairnessKey string
	// Nodes are the labels that a node must have to run it.
	Nodes map[string]string
}

// Bounds of task options.
const (
	MaxFairnessKeyBytes = 128
	MaxNodeLabels       = 32 // that a node has
	MaxDemandedLabels   = 8  // that an activity demands
	MaxLabelBytes       = 64 // of a key, and of a value
)

// MaxProgressBytes bounds what a heartbeat saves.
const MaxProgressBytes = 64 << 10

// Validate reports which option is out of its bounds.
func (o *TaskOptions) Validate() error {
	if o == nil {
		return nil
	}
	if o.HeartbeatTimeout < 0 || o.ScheduleToStart < 0 || o.ScheduleToClose < 0 {
		return fmt.Errorf("a timeout of an activity is negative")
	}
	if len(o.FairnessKey) > MaxFairnessKeyBytes || !utf8.ValidString(o.FairnessKey) {
		return fmt.Errorf("fairness key %.32q… of %d bytes: UTF-8 of at most %d bytes is allowed", o.FairnessKey, len(o.FairnessKey), MaxFairnessKeyBytes)
	}
	if len(o.Nodes) > MaxDemandedLabels {
		return fmt.Errorf("an activity demands %d labels of a node; at most %d are allowed", len(o.Nodes), MaxDemandedLabels)
	}
	return ValidateLabels(o.Nodes)
}

// ValidateLabels reports why these cannot be the labels of a node.
func ValidateLabels(labels map[string]string) error {
	if len(labels) > MaxNodeLabels {
		return fmt.Errorf("%d labels of a node; at most %d are allowed", len(labels), MaxNodeLabels)
	}
	for k, v := range labels {
		for _, text := range []string{k, v} {
			if len(text) > MaxLabelBytes || !utf8.ValidString(text) {
				return fmt.Errorf("node label %.32q=%.32q: at most %d bytes of UTF-8 on either side are allowed", k, v, MaxLabelBytes)
			}
		}
		if k == "" || strings.ContainsAny(k, "=,") || strings.Contains(v, ",") {
			return fmt.Errorf("node label %q=%q: a key is not empty, without = and comma; a value is without comma", k, v)
		}
	}
	return nil
}

// DescribeLabels tells labels in one order: "a=1,b=2".
func DescribeLabels(labels map[string]string) string {
	all := make([]string, 0, len(labels))
	for k, v := range labels {
		all = append(all, k+"="+v)
	}
	sort.Strings(all)
	return strings.Join(all, ",")
}

// Write writes the stored form.
func (o *TaskOptions) Write(w *pack.Writer) {
	w.Array(7)
	w.Int(int64(o.HeartbeatTimeout))
	w.Int(int64(o.ScheduleToStart))
	w.Int(int64(o.ScheduleToClose))
	w.Bool(o.AtMostOnce)
	w.Int(int64(o.Priority))
	w.String(o.FairnessKey)
	writeTags(w, o.Nodes)
}

// ReadTaskOptions reads what Write wrote.
func ReadTaskOptions(r *pack.Reader) *TaskOptions {
	expect(r, 7)
	return &TaskOptions{
		HeartbeatTimeout: time.Duration(r.Int()), ScheduleToStart: time.Duration(r.Int()), ScheduleToClose: time.Duration(r.Int()),
		AtMostOnce: r.Bool(), Priority: int32(r.Int()), FairnessKey: r.String(), Nodes: readTags(r),
	}
}

func (l *line) options(o *TaskOptions) *line {
	if o == nil {
		return l
	}
	for _, d := range []struct {
		label string
		d     time.Duration
	}{{"heartbeat", o.HeartbeatTimeout}, {"schedule-to-start", o.ScheduleToStart}, {"schedule-to-close", o.ScheduleToClose}} {
		if d.d != 0 {
			l.word(d.label + "=" + d.d.String())
		}
	}
	if o.AtMostOnce {
		l.word("at-most-once")
	}
	if o.Priority != 0 {
		l.word(fmt.Sprintf("priority=%d", o.Priority))
	}
	return l.quoted("fairness", o.FairnessKey).quoted("nodes", DescribeLabels(o.Nodes))
}
