package durablehttp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
)

// key adds a token source that puts a key on requests to these servers.
func key(cfg Config, servers ...*endpoint) Config {
	source := TokenSource{Set: func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-Api-Key", "secret")
		return nil
	}}
	for _, s := range servers {
		source.Hosts = append(source.Hosts, s.Listener.Addr().String())
	}
	cfg.TokenSources = map[string]TokenSource{"key": source}
	return cfg
}

func TestPolling(t *testing.T) {
	s := serve(t,
		status(202, "started", "Location", "../ops/1?a=b", "Retry-After", "5"),
		status(202, "", "Retry-After", "0"),
		status(202, "", "Location", "/ops/2", "Date", "Thu, 01 Jan 2026 10:00:00 GMT", "Retry-After", "Thu, 01 Jan 2026 10:01:00 GMT"),
		status(202, "", "Retry-After", "1000000"),
		status(503, "", "Location", "/elsewhere"),
		broken,
		status(200, "done"))
	r := play(t, key(allowed(s), s), func(o *reprise.Orchestration) error {
		resp, err := Call(o, Request{
			Method: "POST", URL: s.URL + "/v1/jobs/", Body: []byte("job"), TokenSource: "key",
			Header: http.Header{"Content-Type": {"text/plain"}, "X-Tenant": {"t"}},
		})
		if err != nil || string(resp.Body) != "done" || resp.URL != s.URL+"/ops/2" {
			t.Errorf("%+v, %v", resp, err)
		}
		return nil
	})
	if want := []time.Duration{5 * time.Second, time.Second, time.Minute, time.Hour, 30 * time.Second, 30 * time.Second}; !slices.Equal(r.waits, want) {
		t.Errorf("waits %v, want %v", r.waits, want)
	}
	var paths []string
	for i, got := range s.got() {
		paths = append(paths, got.Method+" "+got.RequestURI)
		if got.Header.Get("X-Api-Key") != "secret" || got.Header.Get("X-Tenant") != "t" {
			t.Errorf("request %d: %v", i, got.Header)
		}
		if i > 0 && (got.body != "" || got.Header.Get("Idempotency-Key") != "" || got.Header.Get("Content-Type") != "") {
			t.Errorf("poll %d: %q, %v", i, got.body, got.Header)
		}
	}
	if want := "POST /v1/jobs/, GET /v1/ops/1?a=b, GET /v1/ops/1?a=b, GET /ops/2, GET /ops/2, GET /ops/2, GET /ops/2"; strings.Join(paths, ", ") != want {
		t.Errorf("requests %s, want %s", strings.Join(paths, ", "), want)
	}
}

// What polls carry to another host: headers that were chosen, and a credential that
// is for it.
func TestPollsKeepSecrets(t *testing.T) {
	other := serve(t, status(200, "done"))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { status(202, "", "Location", other.URL+"/op")(w, r) })
	r := Request{URL: s.URL, TokenSource: "key", Header: http.Header{"X-A": {"a"}, "X-B": {"b"}}}
	for i, c := range []struct {
		servers []*endpoint
		chosen  []string
		want    string
	}{
		{[]*endpoint{s}, nil, ",,"},
		{[]*endpoint{s, other}, nil, ",,secret"},
		{[]*endpoint{s}, []string{"x-b"}, ",b,"},
	} {
		play(t, key(allowed(s, other), c.servers...), func(o *reprise.Orchestration) error {
			r.Polling.Header = c.chosen
			_, err := Call(o, r)
			return err
		})
		h := other.got()[i].Header
		if got := h.Get("X-A") + "," + h.Get("X-B") + "," + h.Get("X-Api-Key"); got != c.want {
			t.Errorf("%d: %s; want %s", i, got, c.want)
		}
	}
}

func TestPollingEnds(t *testing.T) {
	s := serve(t, status(202, "busy", "Location", "/op?secret"))
	play(t, allowed(s), func(o *reprise.Orchestration) error {
		for _, r := range []Request{
			{URL: s.URL, Polling: Polling{MaxPolls: 3}},
			{URL: s.URL, Polling: Polling{Interval: 31 * time.Minute}, Total: 2 * time.Hour},
		} {
			before, began := len(s.got()), o.Now()
			resp, err := Call(o, r)
			if !errors.Is(err, reprise.ErrTimeout) || !strings.Contains(err.Error(), "/op has not ended after 3 polls") || resp.Status != 202 {
				t.Errorf("%+v: %v, %v", r, resp.Status, err)
			}
			if n := len(s.got()) - before; n != 4 && n != 0 { // none when it is replayed
				t.Errorf("%+v: %d requests", r, n)
			}
			if took := o.Now().Sub(began); took > 2*time.Hour {
				t.Errorf("%+v: %v", r, took)
			}
		}
		resp, err := Call(o, Request{URL: s.URL, Polling: Polling{Off: true}})
		if err != nil || string(resp.Body) != "busy" {
			t.Errorf("switched off: %+v, %v", resp, err)
		}
		return nil
	})

	down := serve(t, status(202, "", "Location", "/op"), broken)
	play(t, allowed(down), func(o *reprise.Orchestration) error {
		_, err := Call(o, Request{URL: down.URL, Polling: Polling{MaxPolls: 2}})
		var network *NetworkError
		if !errors.Is(err, reprise.ErrTimeout) || !errors.As(err, &network) {
			t.Errorf("the error does not tell what the last poll met: %v", err)
		}
		return nil
	})

	refused := serve(t, status(202, "", "Location", "http://metadata.example/token?secret"))
	play(t, allowed(refused), func(o *reprise.Orchestration) error {
		_, err := Call(o, Request{URL: refused.URL})
		var refusal *RefusedError
		if !errors.As(err, &refusal) || refusal.Host != "metadata.example" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
		return nil
	})

	plain := serve(t, status(202, "accepted"))
	play(t, allowed(plain), func(o *reprise.Orchestration) error {
		if resp, err := Call(o, Request{URL: plain.URL}); err != nil || string(resp.Body) != "accepted" {
			t.Errorf("without a Location: %+v, %v", resp, err)
		}
		return nil
	})
}

func TestLocation(t *testing.T) {
	for _, c := range []struct{ from, text, want, says string }{
		{"https://a/b/c", "d", "https://a/b/d", ""},
		{"https://a/b/c", "/d?e#f", "https://a/d?e", ""},
		{"https://a/b/c", "?d", "https://a/b/c?d", ""},
		{"https://a/b/c", "//d/e", "https://d/e", ""},
		{"https://a/b/c", "http://d:1", "http://d:1", ""},
		{"https://a", "file:///etc/passwd", "", "http or https"},
		{"https://a", "https://u:p@b", "", "user"},
		{"https://a", "https://b:port", "", "cannot be read"},
		{"https://a", "javascript:x", "", "http or https"},
		{"https://a", "/" + strings.Repeat("x", maxLocation), "", "bytes"},
	} {
		got, err := location(Response{Status: 202, URL: c.from, Header: http.Header{"Location": {c.text}}})
		if err != nil && (c.says == "" || !strings.Contains(err.Error(), c.says)) || err == nil && got.String() != c.want {
			t.Errorf("%s, %s: %v, %v; want %q%q", c.from, c.text, got, err, c.want, c.says)
		}
	}
}

// Whatever a Location says, it is a URL that a request may have, or an error.
func FuzzLocation(f *testing.F) {
	f.Add("https://a/b", "../c")
	f.Add("http://a:8080/b?c", "//[::1%25eth0]:80/")
	f.Add("http://a", "https://ü/#f")
	f.Fuzz(func(t *testing.T, from, text string) {
		if _, err := parseURL(from); err != nil {
			return
		}
		u, err := location(Response{Status: 202, URL: from, Header: http.Header{"Location": {text}}})
		if err != nil || u == nil {
			return
		}
		again, err := parseURL(u.String())
		if err != nil || again.Host != u.Host || u.User != nil || u.Fragment != "" {
			t.Errorf("%s at %s: %s, %v", text, from, u, err)
		}
		own := &url.URL{Scheme: "https", Host: "own.example"}
		host, port := destination(u)
		if sameOrigin(own, u) != (u.Scheme == "https" && host == "own.example" && port == "443") {
			t.Errorf("%s has the origin of %s", u, own)
		}
	})
}
