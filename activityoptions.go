package reprise

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/reprise-run/reprise/history"
)

// ActivityOption sets how an activity is attempted: [Retry], [RetryWith],
// [Timeout], [HeartbeatTimeout], [ScheduleToStart], [ScheduleToClose],
// [AtMostOnce], [Priority], [FairnessKey], [OnNodes], [Local].
type ActivityOption interface{ activity(*activityOptions) }

type activityOptions struct {
	retries Retries
	timeout time.Duration
	task    history.TaskOptions
	local   bool
	err     error
}

func (s *activityOptions) apply(opts []ActivityOption) {
	for _, opt := range opts {
		opt.activity(s)
	}
}

// problem returns what is wrong with the options, or nil.
func (s *activityOptions) problem() error {
	var local error
	if s.local && s.taskOptions() != nil {
		local = fmt.Errorf("a local activity takes no options but Retry and Timeout")
	}
	return errors.Join(s.err, s.retries.err, s.task.Validate(), local)
}

// taskOptions returns what travels with the scheduled activity; nil: nothing.
func (s *activityOptions) taskOptions() *history.TaskOptions {
	if reflect.ValueOf(s.task).IsZero() {
		return nil
	}
	task := s.task
	return &task
}

type activityOption func(*activityOptions)

func (f activityOption) activity(s *activityOptions) { f(s) }

// TimeLimit is an [ActivityOption] and a [ChildOption], made by [Timeout].
type TimeLimit time.Duration

// Timeout limits each attempt, from its start to its end, also where somebody outside
// completes it. An attempt of an activity that takes longer fails with [ErrTimeout],
// and its context is cancelled. A
// sub-orchestration is cancelled, with [ErrTimeout] as the cause, and may clean up; how
// it ends is what its parent gets.
func Timeout(d time.Duration) TimeLimit { return TimeLimit(d) }

func (d TimeLimit) check() error {
	if d <= 0 {
		return fmt.Errorf("timeout of %v; it must be above 0", time.Duration(d))
	}
	return nil
}

func (d TimeLimit) activity(s *activityOptions) {
	s.timeout, s.err = time.Duration(d), errors.Join(s.err, d.check())
}

func (d TimeLimit) child(s *childOptions) {
	s.timeout, s.err = time.Duration(d), errors.Join(s.err, d.check())
}

// HeartbeatTimeout limits how long an attempt may be silent: from its start to its
// first [Heartbeat], and from one to the next. One that is silent for longer fails
// with [ErrTimeout].
func HeartbeatTimeout(d time.Duration) ActivityOption {
	return limit("heartbeat timeout", d, func(s *activityOptions) { s.task.HeartbeatTimeout = d })
}

// ScheduleToStart limits how long an attempt waits for a node that begins it. One that
// waits longer fails with [ErrTimeout], and the activity with it: it is not retried.
func ScheduleToStart(d time.Duration) ActivityOption {
	return limit("schedule-to-start timeout", d, func(s *activityOptions) { s.task.ScheduleToStart = d })
}

// ScheduleToClose limits the time from the decision to the outcome, with all attempts
// and the waits between them. An activity that takes longer fails with [ErrTimeout].
func ScheduleToClose(d time.Duration) ActivityOption {
	return limit("schedule-to-close timeout", d, func(s *activityOptions) { s.task.ScheduleToClose = d })
}

// AtMostOnce lets no attempt run of which nobody knows what became of the one before:
// if its node dies, or it runs into a time limit after it has begun, the activity fails
// ([ErrOutcomeUnknown], [ErrTimeout]), with or without a retry policy. A failure that
// the function returns is attempted again as ever. Each attempt costs a commit before
// it begins.
func AtMostOnce() ActivityOption {
	return activityOption(func(s *activityOptions) { s.task.AtMostOnce = true })
}

// Priority says which attempts go first where several wait for room: those with the
// highest; the default is 0. It orders what waits in one partition.
func Priority(p int32) ActivityOption {
	return activityOption(func(s *activityOptions) { s.task.Priority = p })
}

// FairnessKey names on whose behalf the activity runs (a tenant, a customer). Where
// several attempts of an activity wait for room with the same [Priority], the keys take
// turns, however many attempts each has.
func FairnessKey(key string) ActivityOption {
	return activityOption(func(s *activityOptions) { s.task.FairnessKey = key })
}

// OnNodes lets only nodes run the activity that have all these labels, each "key=value".
// While there is none, it waits, visibly.
func OnNodes(labels ...string) ActivityOption {
	return activityOption(func(s *activityOptions) {
		s.task.Nodes = make(map[string]string, len(labels))
		for _, label := range labels {
			k, v, ok := strings.Cut(label, "=")
			if _, twice := s.task.Nodes[k]; !ok || twice {
				s.err = errors.Join(s.err, fmt.Errorf("node label %q: want key=value, each key once", label))
			}
			s.task.Nodes[k] = v
		}
	})
}

// limit is a time limit, which must be above 0.
func limit(what string, d time.Duration, set func(*activityOptions)) ActivityOption {
	return activityOption(func(s *activityOptions) {
		if set(s); d <= 0 {
			s.err = errors.Join(s.err, fmt.Errorf("%s of %v; it must be above 0", what, d))
		}
	})
}
