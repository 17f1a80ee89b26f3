package partition

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/reprise-run/reprise/history"
)

// Failed says what becomes of a pending activity whose attempt failed at time
// now: the time of the next attempt, or false when the failure is for good.
func (a *Activity) Failed(now time.Time, f *history.Failure) (next time.Time, again bool) {
	if a.Options != nil && a.Options.AtMostOnce && f.Type == history.FailureTimeout {
		return time.Time{}, false // nobody knows whether it acted
	}
	next, again = a.Retry.Next(a.Attempt, a.First, now, f)
	if again && !a.CloseBy.IsZero() && !next.Before(a.CloseBy) {
		return time.Time{}, false
	}
	return next, again
}

// Retry schedules the next attempt of a pending activity, after the one with the
// fence (epoch, n) failed. It returns the timers that were armed: the one that begins
// it, and others.
func Retry(s Store, a Address, taskID int32, activity *Activity, next time.Time, f *history.Failure, epoch, n uint64) []Timer {
	return activity.change(s, a, taskID, func() {
		activity.Attempt++
		activity.FailedEpoch, activity.FailedN = epoch, n
		activity.NextAttempt = next
		activity.LastFailure = Brief(f)
		activity.Outside, activity.Deadline, activity.Closes = AttemptFence{}, time.Time{}, time.Time{}
		activity.Noted = AttemptFence{}
		activity.MayHaveActed = activity.MayHaveActed || f.LeavesOpen()
		activity.limit(next)
	})
}

// Brief tells a failure in one short line.
func Brief(f *history.Failure) string {
	const limit = 200
	text := f.Message
	if f.Type != "" {
		text = fmt.Sprintf("%s: %s", f.Type, f.Message)
	}
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
