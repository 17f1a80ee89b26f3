package durablehttp

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/reprise-run/reprise"
)

// What holds where a [Request] says nothing. These values decide when timers fire,
// and executions under way were recorded with them: they do not change.
const (
	DefaultTimeout      = 100 * time.Second
	DefaultTotal        = 24 * time.Hour
	DefaultAttempts     = 5
	DefaultFirst        = time.Second
	DefaultPollInterval = 30 * time.Second
	DefaultMaxInterval  = time.Hour
	DefaultMaxPolls     = 10_000
)

// Request is a request that an orchestrator makes. It is kept in the history.
type Request struct {
	Method string // "" is GET
	URL    string // absolute, http or https, without user and password
	// Header is sent along. Credentials do not belong here, because the history
	// keeps it: Authorization, Proxy-Authorization and Cookie are refused, and a
	// TokenSource sets them. Methods that are not idempotent (POST, PATCH) get an
	// Idempotency-Key, the same for all attempts of this call; a value of your own
	// replaces it, and an empty list leaves it out.
	Header http.Header
	Body   Body
	// TokenSource names the source in [Config.TokenSources] that puts the credential
	// on the request; "" is none. The history has the name only.
	TokenSource string
	// Timeout limits each attempt and each poll, redirects and body included; 0 is
	// [DefaultTimeout].
	Timeout time.Duration
	// Total limits the whole call, with attempts, waits and polls; 0 is
	// [DefaultTotal].
	Total   time.Duration
	Retry   Retry
	Polling Polling
	// NoRedirects makes a redirect the response.
	NoRedirects bool
	// ExpectStatus are the statuses that are no error; another one is a
	// *[StatusError]. Where it is empty, every status is a response like any other.
	ExpectStatus []int
}

// Response is what an endpoint answered.
type Response struct {
	Status int
	// Header has canonical names. Set-Cookie is left out: it is a secret.
	Header http.Header
	Body   Body
	// URL is what answered in the end: after redirects, and the poll's after polls.
	URL string
}

// OK reports whether the status is 2xx.
func (r Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Decode stores the body, which is JSON, in the value that v points to. It leaves
// the value alone where there is no body.
func (r Response) Decode(v any) error {
	if len(r.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Body, v); err != nil {
		return fmt.Errorf("decode the body of the response from %s: %w", r.URL, err)
	}
	return nil
}

// errHistory says why a header is refused.
var errHistory = errors.New("it would be kept in the history; let a TokenSource set it")

// refusedHeaders are those that a request must not bring, and why.
var refusedHeaders = map[string]error{
	"Authorization": errHistory, "Proxy-Authorization": errHistory, "Cookie": errHistory,
}

func init() {
	own := errors.New("the connection sets it by itself")
	for _, name := range []string{"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		refusedHeaders[name] = own
	}
}

// complete checks the request and fills in what it leaves open. Nothing of r is
// changed.
func (r Request) complete() (Request, *url.URL, error) {
	r.Method = cmp.Or(r.Method, http.MethodGet)
	if !httpguts.ValidHeaderFieldName(r.Method) { // a token, like a header's name
		return r, nil, fmt.Errorf("%q is no HTTP method", r.Method)
	}
	u, err := parseURL(r.URL)
	if err != nil {
		return r, nil, err
	}
	if r.Header, err = canonical(r.Header); err != nil {
		return r, nil, err
	}
	r.Timeout, r.Total = cmp.Or(r.Timeout, DefaultTimeout), cmp.Or(r.Total, DefaultTotal)
	if r.Timeout < 0 || r.Total < 0 {
		return r, nil, fmt.Errorf("timeout of %v, total of %v; neither may be below 0", r.Timeout, r.Total)
	}
	if err := r.Retry.complete(); err != nil {
		return r, nil, err
	}
	return r, u, r.Polling.complete()
}

// parseURL checks what can be checked without a configuration. Names are compared
// as they are written, so they must be written in ASCII.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the URL cannot be read") // the text may hold a secret
	}
	at := u.Scheme + "://" + u.Host
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("URL %q: it must be absolute, with http or https and a host", at)
	case u.User != nil:
		return nil, fmt.Errorf("URL %q has a user or a password: %w", at, errHistory)
	case strings.ContainsFunc(u.Host, func(c rune) bool { return c > 127 }):
		return nil, fmt.Errorf("URL %q: write the host in its ASCII form (xn--…)", at)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// canonical returns the header with canonical names, or what is wrong with it.
func canonical(h http.Header) (http.Header, error) {
	out := make(http.Header, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("header %q: that is no name of a header", name)
		}
		key := http.CanonicalHeaderKey(name)
		if why := refusedHeaders[key]; why != nil {
			return nil, fmt.Errorf("header %s: %w", key, why)
		}
		out[key] = append(out[key], h[name]...)
		for _, value := range h[name] {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("header %s: its value has characters that no header may have", key)
			}
		}
	}
	return out, nil
}

// withKey gives the first request of a call its idempotency key, if it needs one.
func (r Request) withKey(o *reprise.Orchestration) http.Header {
	key, set := r.Header["Idempotency-Key"]
	switch {
	case set && len(key) == 0:
		delete(r.Header, "Idempotency-Key")
	case !set && !slices.Contains(idempotent, r.Method):
		r.Header.Set("Idempotency-Key", o.NewID())
	}
	return r.Header
}

// idempotent are the methods that may be repeated without a key (RFC 9110, 9.2.2).
var idempotent = []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}
