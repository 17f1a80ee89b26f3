package durablehttp

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		text, date string
		want       time.Duration
		ok         bool
	}{
		{"", "", 0, false},
		{"7", "", 7 * time.Second, true},
		{" 0 ", "", 0, true},
		{"-1", "", 0, false},
		{"+1", "", 0, false},
		{"1.5", "", 0, false},
		{"soon", "", 0, false},
		{"99999999999999999999999999", "", 1 << 31 * time.Second, true},
		{"Thu, 01 Jan 2026 00:00:09 GMT", "", 9 * time.Second, true},
		{"Thu, 01 Jan 2026 00:00:09 GMT", "nonsense", 9 * time.Second, true},
		{"Thu, 01 Jan 2026 00:00:09 GMT", "Thu, 01 Jan 2026 00:00:05 GMT", 4 * time.Second, true},
		{"Thursday, 01-Jan-26 00:00:09 GMT", "", 9 * time.Second, true},
		{"Wed, 31 Dec 2025 00:00:00 GMT", "", 0, true},
	} {
		got, ok := retryAfter(http.Header{"Retry-After": {c.text}, "Date": {c.date}}, began)
		if got != c.want || ok != c.ok {
			t.Errorf("%q, %q: %v, %v; want %v, %v", c.text, c.date, got, ok, c.want, c.ok)
		}
	}
}

// Whatever an endpoint asks for, the waits stay within their bounds.
func FuzzRetryAfter(f *testing.F) {
	f.Add("7", "", 1)
	f.Add("Thu, 01 Jan 2026 00:00:09 GMT", "Thu, 01 Jan 9999 00:00:05 GMT", 3)
	f.Add("18446744073709551616", "", 4)
	f.Fuzz(func(t *testing.T, text, date string, attempt int) {
		var r Request
		r.URL = "http://a"
		r, _, err := r.complete()
		if err != nil {
			t.Fatal(err)
		}
		resp := Response{Status: 503, Header: http.Header{"Retry-After": {text}, "Date": {date}}}
		if wait := r.Polling.wait(resp, began); wait < minPollInterval || wait > r.Polling.MaxInterval {
			t.Errorf("a poll waits %v", wait)
		}
		attempt = max(attempt, 1)
		wait, again := r.Retry.next(attempt, resp, nil, began)
		if wait < 0 || wait > r.Retry.MaxInterval || again != (attempt < r.Retry.Attempts) {
			t.Errorf("attempt %d waits %v, again %v", attempt, wait, again)
		}
	})
}
