package durablehttp

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/reprise-run/reprise"
)

// Polling says how the end of an operation is awaited whose response is 202 with a
// Location: by GET requests to the Location, each after a durable timer, until one
// answers with another status. Retry-After says how long the next wait is. A poll
// may name another Location; one that names none is repeated, and so is one without
// response or with one of [Retry.Statuses]: an operation of hours does not end
// because nobody answers for a minute. Polls have the credential, if it is for the
// host that they go to, and no body.
type Polling struct {
	Off         bool          // 202 is a response like any other
	Interval    time.Duration // the wait without Retry-After; 0 is [DefaultPollInterval]
	MaxInterval time.Duration // limits Retry-After; 0 is [DefaultMaxInterval]
	MaxPolls    int           // 0 is [DefaultMaxPolls]
	// Header names the headers of the request that polls carry, wherever they go. Where
	// it is nil, they carry all but Content-… and Idempotency-Key, and none to another
	// host than that of the request.
	Header []string
}

// Limits of what an endpoint can ask for.
const (
	minPollInterval = time.Second // also where Retry-After is 0
	maxLocation     = 8 << 10
)

func (p *Polling) complete() error {
	p.Interval = cmp.Or(p.Interval, DefaultPollInterval)
	p.MaxInterval = cmp.Or(p.MaxInterval, DefaultMaxInterval)
	p.MaxPolls = cmp.Or(p.MaxPolls, DefaultMaxPolls)
	if p.Interval < 0 || p.MaxInterval < minPollInterval || p.MaxPolls < 0 {
		return fmt.Errorf("polling with interval %v, at most %v, %d polls; no interval may be longer than %v and none of them below 0",
			p.Interval, p.MaxInterval, p.MaxPolls, minPollInterval)
	}
	return nil
}

// wait returns how long to wait after a response that is 202.
func (p Polling) wait(resp Response, now time.Time) time.Duration {
	wait, asked := retryAfter(resp.Header, now)
	if !asked {
		return p.Interval
	}
	return min(max(wait, minPollInterval), p.MaxInterval)
}

// header returns what a poll carries of the header of the request.
func (p Polling) header(h http.Header, same bool) http.Header {
	out := http.Header{}
	for name, values := range h {
		named := func(chosen string) bool { return http.CanonicalHeaderKey(chosen) == name }
		ofBody := strings.HasPrefix(name, "Content-") || name == "Idempotency-Key"
		if slices.ContainsFunc(p.Header, named) || p.Header == nil && same && !ofBody {
			out[name] = values
		}
	}
	return out
}

// poll waits for the end of the operation that resp announces.
func (c *call) poll(resp Response) (Response, error) {
	p := c.request.Polling
	var at *url.URL
	var lost error // of the last poll
	for polls := 0; ; polls++ {
		next, err := location(resp)
		if err != nil {
			return resp, err
		}
		if next != nil {
			at = next
		}
		wait := p.wait(resp, c.o.Now())
		if polls == p.MaxPolls || !c.time(wait) {
			return resp, c.unfinished(at, polls, errors.Join(reprise.ErrTimeout, lost))
		}
		c.o.Sleep(wait)
		news, err := c.send(c.pollOf(at))
		switch {
		case networkFailure(err):
			lost = err
		case err != nil:
			return resp, fmt.Errorf("poll %s: %w", shown(at), err)
		case news.Status != http.StatusAccepted && !slices.Contains(c.request.Retry.Statuses, news.Status):
			return news, nil
		default:
			resp, lost = news, nil
		}
	}
}

func (c *call) unfinished(at *url.URL, polls int, why error) error {
	return fmt.Errorf("the operation at %s has not ended after %d polls; limits are %d polls and %v in all: %w",
		shown(at), polls, c.request.Polling.MaxPolls, c.request.Total, why)
}

// pollOf is the request for the state of an operation.
func (c *call) pollOf(at *url.URL) exchange {
	r := c.request
	same := sameOrigin(c.url, at)
	return exchange{
		Method: http.MethodGet, URL: at.String(), Header: r.Polling.header(r.Header, same),
		TokenSource: r.TokenSource, NoRedirects: r.NoRedirects, Elsewhere: !same,
	}
}

// location returns the URL that a response names, which may be relative to the one
// that answered; nil if it names none.
func location(resp Response) (*url.URL, error) {
	text := resp.Header.Get("Location")
	if text == "" || resp.Status != http.StatusAccepted {
		return nil, nil
	}
	if len(text) > maxLocation {
		return nil, fmt.Errorf("202 with a Location of %d bytes; at most %d are taken", len(text), maxLocation)
	}
	base, err := url.Parse(resp.URL)
	if err != nil {
		return nil, errors.New("202 from a URL that cannot be read")
	}
	ref, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("202 with a Location that cannot be read")
	}
	u, err := parseURL(base.ResolveReference(ref).String())
	if err != nil {
		return nil, fmt.Errorf("202 with a Location that cannot be used: %w", err)
	}
	return u, nil
}
