package durablehttp

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
)

func TestCall(t *testing.T) {
	s := serve(t, status(404, "none", "Set-Cookie", "a=secret", "x-shelf", "7"))
	r := play(t, allowed(s), func(o *reprise.Orchestration) error {
		resp, err := Call(o, Request{
			Method: "PUT", URL: s.URL + "/a?b=c#d", Body: []byte("lamp"), Header: http.Header{"x-a": {"1"}, "X-A": {"2"}},
		})
		if err != nil || resp.Status != 404 || resp.OK() || string(resp.Body) != "none" || resp.URL != s.URL+"/a?b=c" {
			t.Errorf("%+v, %v", resp, err)
		}
		if resp.Header.Get("Set-Cookie") != "" || resp.Header["X-Shelf"][0] != "7" {
			t.Errorf("header %v", resp.Header)
		}
		return nil
	})
	got := s.got()[0]
	if got.Method != "PUT" || got.RequestURI != "/a?b=c" || got.body != "lamp" || !slices.Equal(got.Header["X-A"], []string{"2", "1"}) ||
		got.Header.Get("User-Agent") != "reprise-durablehttp" || got.Header["Idempotency-Key"] != nil {
		t.Errorf("%s %s %q %v", got.Method, got.RequestURI, got.body, got.Header)
	}
	if len(r.waits) != 0 {
		t.Errorf("waits %v", r.waits)
	}
}

func TestExpectedStatus(t *testing.T) {
	s := serve(t, status(409, strings.Repeat("x", 5000)))
	play(t, allowed(s), func(o *reprise.Orchestration) error {
		resp, err := Call(o, Request{URL: s.URL + "/a?secret", ExpectStatus: []int{200, 204}})
		var status *StatusError
		if !errors.As(err, &status) || status.Status != 409 || len(status.Body) != maxStatusBody || len(resp.Body) != 5000 {
			t.Errorf("%+v, %v", status, err)
		}
		if !strings.HasPrefix(err.Error(), "GET "+s.URL+"/a: status 409 Conflict: \"xx") || len(err.Error()) > 400 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
		resp, err = Call(o, Request{URL: s.URL, ExpectStatus: []int{409}})
		if err != nil || resp.Status != 409 {
			t.Errorf("%v, %v", resp.Status, err)
		}
		return nil
	})
}

// A start as a future: the error of the sub-orchestration has its identity.
func TestStart(t *testing.T) {
	s := serve(t, status(202, "", "Location", "/op"), status(200, "done"), status(418, "tea"))
	play(t, allowed(s), func(o *reprise.Orchestration) error {
		first := Start(o, Request{Method: "POST", URL: s.URL, Header: http.Header{"Idempotency-Key": nil}})
		second := Start(o, Request{URL: s.URL, ExpectStatus: []int{200}})
		resp, err := first.Await(o)
		if err != nil || string(resp.Body) != "done" {
			t.Errorf("%+v, %v", resp, err)
		}
		_, err = second.Await(o)
		var status *StatusError
		if !errors.As(err, &status) || status.Status != 418 || string(status.Body) != "tea" {
			t.Errorf("%v", err)
		}
		return nil
	})
	if got := s.got()[0]; got.Header["Idempotency-Key"] != nil {
		t.Errorf("a key that was left out is sent: %v", got.Header)
	}
}

func TestJSON(t *testing.T) {
	type order struct{ Item string }
	type receipt struct{ Price int }
	s := serve(t, status(201, `{"Price":7}`), status(204, ""), status(200, `{"Price":`), status(400, `{"title":"no"}`), status(409, `{"Price":1}`))
	play(t, allowed(s), func(o *reprise.Orchestration) error {
		r := Request{Method: "POST", URL: s.URL, Header: http.Header{"Accept": {"application/vnd.receipt+json"}}}
		if got, err := JSON[order, receipt](o, r, order{"lamp"}); err != nil || got.Price != 7 {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := JSON[reprise.None, *receipt](o, Request{URL: s.URL}, reprise.None{}); err != nil || got != nil {
			t.Errorf("%+v, %v", got, err)
		}
		var syntax *json.SyntaxError
		if _, err := JSON[reprise.None, receipt](o, Request{URL: s.URL}, reprise.None{}); !errors.As(err, &syntax) {
			t.Errorf("half a value: %v", err)
		}
		var status *StatusError
		if _, err := JSON[order, receipt](o, r, order{}); !errors.As(err, &status) || string(status.Body) != `{"title":"no"}` {
			t.Errorf("%v", err)
		}
		r.ExpectStatus = []int{409}
		if got, err := JSON[order, receipt](o, r, order{}); err != nil || got.Price != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := JSON[chan int, receipt](o, r, nil); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("%v", err)
		}
		return nil
	})
	got := s.got()
	if h := got[0].Header; h.Get("Content-Type") != "application/json" || h.Get("Accept") != "application/vnd.receipt+json" || got[0].body != `{"Item":"lamp"}` {
		t.Errorf("%v %s", h, got[0].body)
	}
	if h := got[1].Header; h.Get("Content-Type") != "" || h.Get("Accept") != "application/json" {
		t.Errorf("%v", h)
	}
}

// What is wrong with a request is told before anything is sent.
func TestWrongRequests(t *testing.T) {
	s := serve(t, status(200, ""))
	for _, c := range []struct {
		request Request
		says    string
	}{
		{Request{URL: "/relative"}, "must be absolute"},
		{Request{URL: "ftp://a"}, "http or https"},
		{Request{URL: "http://"}, "a host"},
		{Request{URL: "https://me:secret@a"}, "kept in the history"},
		{Request{URL: "https://a/%zz?secret"}, "cannot be read"},
		{Request{URL: "https://bücher.example"}, "xn--"},
		{Request{URL: s.URL, Method: "GET /"}, "no HTTP method"},
		{Request{URL: s.URL, Header: http.Header{"authorization": {"Bearer secret"}}}, "header Authorization: it would be kept in the history; let a TokenSource set it"},
		{Request{URL: s.URL, Header: http.Header{"Cookie": {"secret"}}}, "history"},
		{Request{URL: s.URL, Header: http.Header{"Host": {"b"}}}, "by itself"},
		{Request{URL: s.URL, Header: http.Header{"a b": {"c"}}}, "no name of a header"},
		{Request{URL: s.URL, Header: http.Header{"A": {"secret\r\nB: c"}}}, "characters"},
		{Request{URL: s.URL, Timeout: -1}, "below 0"},
		{Request{URL: s.URL, Total: -1}, "below 0"},
		{Request{URL: s.URL, Retry: Retry{Attempts: -1}}, "attempts"},
		{Request{URL: s.URL, Retry: Retry{First: -1}}, "first wait"},
		{Request{URL: s.URL, Polling: Polling{Interval: -1}}, "interval"},
		{Request{URL: s.URL, Polling: Polling{MaxInterval: 1}}, "at most"},
	} {
		play(t, allowed(s), func(o *reprise.Orchestration) error {
			_, err := Call(o, c.request)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%+v: %v; want %q", c.request, err, c.says)
			}
			return nil
		})
	}
	if n := len(s.got()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestRetries(t *testing.T) {
	s := serve(t, status(503, ""), broken, status(429, "", "Retry-After", "90"),
		status(502, "", "Date", "Thu, 01 Jan 2026 10:00:00 GMT", "Retry-After", "Thu, 01 Jan 2026 10:00:07 GMT"), status(201, "made"))
	r := play(t, allowed(s), func(o *reprise.Orchestration) error {
		resp, err := Call(o, Request{Method: "POST", URL: s.URL, Body: []byte("lamp")})
		if err != nil || resp.Status != 201 {
			t.Errorf("%+v, %v", resp, err)
		}
		return nil
	})
	if want := []time.Duration{time.Second, 2 * time.Second, 90 * time.Second, 7 * time.Second}; !slices.Equal(r.waits, want) {
		t.Errorf("waits %v, want %v", r.waits, want)
	}
	keys := map[string]bool{}
	for _, got := range s.got() {
		keys[got.Header.Get("Idempotency-Key")] = true
		if got.body != "lamp" {
			t.Errorf("body %q", got.body)
		}
	}
	if len(s.got()) != 5 || len(keys) != 1 || keys[""] {
		t.Errorf("%d requests with keys %v", len(s.got()), keys)
	}
}

// When the attempts, or the time, are used up, the last outcome stands.
func TestRetriesEnd(t *testing.T) {
	s := serve(t, status(503, "a"), status(503, "b"), status(503, "c", "Retry-After", "7200"), status(500, "d"), status(504, "e"), broken)
	r := play(t, allowed(s), func(o *reprise.Orchestration) error {
		r := Request{Method: "PATCH", URL: s.URL, Header: http.Header{"idempotency-key": {"mine"}}, Retry: Retry{Attempts: 2, First: 3 * time.Second}}
		expect := func(body string) {
			t.Helper()
			if resp, err := Call(o, r); err != nil || string(resp.Body) != body {
				t.Errorf("%+v, %v; want %q", resp, err, body)
			}
		}
		expect("b")
		r.Total = time.Hour
		expect("c") // its wait is cut to an hour, which is the time in all
		expect("d") // no status to repeat
		r.Retry.Attempts = 1
		expect("e")
		r.Retry = Retry{First: 40 * time.Minute, MaxInterval: 50 * time.Minute}
		r.Total = 2 * time.Hour
		_, err := Call(o, r)
		var network *NetworkError
		if !errors.As(err, &network) || network.TimedOut || errors.Is(err, reprise.ErrTimeout) || "http://"+network.Host != s.URL {
			t.Errorf("%+v, %v", network, err)
		}
		return nil
	})
	if want := []time.Duration{3 * time.Second, 40 * time.Minute, 50 * time.Minute}; !slices.Equal(r.waits, want) {
		t.Errorf("waits %v, want %v", r.waits, want)
	}
	// A request that no node begins ends with the call, a moment late.
	closes := []time.Duration{DefaultTotal, DefaultTotal - 3*time.Second, time.Hour, time.Hour, time.Hour, 2 * time.Hour, 80 * time.Minute, 30 * time.Minute}
	for i, c := range closes {
		closes[i] = c + moment
	}
	if !slices.Equal(r.closes, closes) {
		t.Errorf("requests end after %v, want %v", r.closes, closes)
	}
	for _, got := range s.got() {
		if got.Header.Get("Idempotency-Key") != "mine" {
			t.Errorf("%v", got.Header)
		}
	}
}

// A scope that ends while a call waits ends the call: nothing more is sent.
func TestCancellation(t *testing.T) {
	down := serve(t, status(503, ""))
	busy := serve(t, status(202, "", "Location", "/op"))
	for _, s := range []*endpoint{down, busy} {
		play(t, allowed(s), func(o *reprise.Orchestration) error {
			return o.Within(500*time.Millisecond, func(o *reprise.Orchestration) error {
				if _, err := Call(o, Request{URL: s.URL}); !errors.Is(err, reprise.ErrCanceled) || !errors.Is(err, reprise.ErrTimeout) {
					t.Errorf("%v", err)
				}
				return nil
			})
		})
		if n := len(s.got()); n != 1 {
			t.Errorf("%d requests", n)
		}
	}
}

func TestBodyInHistory(t *testing.T) {
	page := strings.Repeat("<b>", 10_000)
	for _, c := range []struct {
		body Body
		json string
	}{
		{nil, `null`},
		{Body{}, `""`},
		{Body(`{"a":"ü"}`), `"{\"a\":\"ü\"}"`},
		{Body{0xff, 0}, `{"base64":"/wA="}`},
		{Body(page), ""},
	} {
		got, err := json.Marshal(c.body)
		if err != nil || c.json != "" && string(got) != c.json || len(got) > 20+2*len(c.body) {
			t.Errorf("%q: %s, %v", c.body, got, err)
		}
		var back Body
		if err := json.Unmarshal(got, &back); err != nil || string(back) != string(c.body) || (back == nil) != (c.body == nil) {
			t.Errorf("%s: %q, %v", got, back, err)
		}
	}
	var b Body
	if err := json.Unmarshal([]byte(`7`), &b); err == nil {
		t.Error("a number is no body")
	}
}
