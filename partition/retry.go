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
	return a.Retry.Next(a.Attempt, a.First, now, f)
}

// Retry schedules the next attempt of a pending activity, after the one with the
// fence (epoch, n) failed. It returns the timer that begins it.
func Retry(s Store, a Address, taskID int32, activity *Activity, next time.Time, f *history.Failure, epoch, n uint64) Timer {
	if !activity.NextAttempt.IsZero() {
		s.Delete(Timer{Due: activity.NextAttempt, Address: a, Kind: RetryTimer, ID: taskID}.Key())
	}
	activity.Attempt++
	activity.FailedEpoch, activity.FailedN = epoch, n
	activity.NextAttempt = next
	activity.LastFailure = Brief(f)
	s.Set(a.ActivityKey(taskID), activity.Encode())
	t := Timer{Due: next, Address: a, Kind: RetryTimer, ID: taskID}
	arm(s, t)
	return t
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
