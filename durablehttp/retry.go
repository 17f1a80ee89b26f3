package durablehttp

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Retry says which attempts are made again, after a durable timer: those that end
// without a response (*[NetworkError]), and those with one of the statuses. The wait
// is what Retry-After asks for, else First and twice as long each time. When
// the attempts are used up, the last outcome stands. Polls go on by themselves.
type Retry struct {
	Attempts    int           // in all; 0 is [DefaultAttempts], 1 is none again
	First       time.Duration // the first wait; 0 is [DefaultFirst]
	MaxInterval time.Duration // limits a wait, Retry-After too; 0 is [DefaultMaxInterval]
	Statuses    []int         // empty: 429, 502, 503, 504
}

// repeated are the statuses that say "later".
var repeated = []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

func (r *Retry) complete() error {
	r.Attempts = cmp.Or(r.Attempts, DefaultAttempts)
	r.First = cmp.Or(r.First, DefaultFirst)
	r.MaxInterval = cmp.Or(r.MaxInterval, DefaultMaxInterval)
	if len(r.Statuses) == 0 {
		r.Statuses = repeated
	}
	if r.Attempts < 1 || r.First < 0 || r.MaxInterval < 0 {
		return fmt.Errorf("retry with %d attempts, first wait %v, longest %v; none may be below 0", r.Attempts, r.First, r.MaxInterval)
	}
	return nil
}

// next says whether there is another attempt, and after which wait.
func (r Retry) next(attempt int, resp Response, err error, now time.Time) (time.Duration, bool) {
	if attempt >= r.Attempts {
		return 0, false
	}
	wait := r.MaxInterval
	if doublings := attempt - 1; doublings < 32 && r.First < r.MaxInterval>>doublings {
		wait = r.First << doublings
	}
	if err != nil {
		return wait, networkFailure(err)
	}
	if asked, ok := retryAfter(resp.Header, now); ok {
		wait = min(asked, r.MaxInterval)
	}
	return wait, slices.Contains(r.Statuses, resp.Status)
}

// retryAfter reads Retry-After: seconds, or a date, which is compared with the
// server's own Date where there is one, because its clock may be wrong.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			seconds = 1 << 31 // too long a number is a long time
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(at.Sub(now), 0), true
}
