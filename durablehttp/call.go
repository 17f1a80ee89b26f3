package durablehttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/reprise-run/reprise"
)

// The durable names of this package.
var (
	send    = reprise.NewActivity[exchange, Response]("reprise.http")
	calling = reprise.NewOrchestration[Request, Response]("reprise.http.call")
)

// exchange is one request and its response, as a node is asked for it.
type exchange struct {
	Method      string
	URL         string
	Header      http.Header
	Body        Body   `json:",omitempty"`
	TokenSource string `json:",omitempty"`
	Timeout     time.Duration
	NoRedirects bool `json:",omitempty"`
	// Elsewhere is set where an endpoint chose the host. Then a credential that is not
	// for that host is left out; otherwise the request is refused.
	Elsewhere bool `json:",omitempty"`
}

// Call sends a request and waits for the response; for its operation's, where that
// is 202 with a Location (see [Polling]). A status outside 2xx is a response, not an
// error, unless [Request.ExpectStatus] says otherwise. Errors are *[RefusedError],
// *[NetworkError] when the attempts are used up, *[StatusError], [ErrBodyTooLarge],
// [reprise.ErrTimeout] when [Request.Total] is over, [reprise.ErrCanceled], and what is
// wrong with the request itself. With an error there is a response if there was one.
func Call(o *reprise.Orchestration, r Request) (Response, error) {
	r, u, err := r.complete()
	if err != nil {
		return Response{}, fmt.Errorf("durable HTTP: %w", err)
	}
	c := &call{o: o, request: r, url: u, deadline: o.Now().Add(r.Total)}
	resp, err := c.run()
	if err != nil {
		return resp, fmt.Errorf("%s %s: %w", r.Method, shown(u), err)
	}
	return resp, nil
}

// Start is [Call] as a future: a sub-orchestration, which [Bind] binds, makes the
// call. With an error there is no response; a *[StatusError] has the status.
func Start(o *reprise.Orchestration, r Request) reprise.Future[Response] {
	return calling.Start(o, r)
}

// JSON sends in as JSON and returns what the response has as JSON; [reprise.None]
// is no body. A status outside 2xx, or outside [Request.ExpectStatus] where that is
// set, is a *[StatusError].
func JSON[In, Out any](o *reprise.Orchestration, r Request, in In) (Out, error) {
	var out Out
	r.Header = r.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	setDefault(r.Header, "Accept", "application/json")
	if _, none := any(in).(reprise.None); !none {
		body, err := json.Marshal(in)
		if err != nil {
			return out, fmt.Errorf("durable HTTP: encode %T: %w", in, err)
		}
		r.Body = body
		setDefault(r.Header, "Content-Type", "application/json")
	}
	resp, err := Call(o, r)
	if err == nil && len(r.ExpectStatus) == 0 && !resp.OK() {
		err = unexpected(resp)
	}
	if _, none := any(out).(reprise.None); err != nil || none {
		return out, err
	}
	return out, resp.Decode(&out)
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// call is a call under way.
type call struct {
	o        *reprise.Orchestration
	request  Request // complete
	url      *url.URL
	deadline time.Time
}

func (c *call) run() (Response, error) {
	r := c.request
	resp, err := c.exchange(exchange{
		Method: r.Method, URL: c.url.String(), Header: r.withKey(c.o), Body: r.Body,
		TokenSource: r.TokenSource, NoRedirects: r.NoRedirects,
	})
	if err == nil && !r.Polling.Off && resp.Status == http.StatusAccepted && resp.Header.Get("Location") != "" {
		resp, err = c.poll(resp)
	}
	if err == nil && len(r.ExpectStatus) > 0 && !slices.Contains(r.ExpectStatus, resp.Status) {
		err = unexpected(resp)
	}
	return resp, err
}

// send sends a request once. An attempt that has begun ends by itself when the time is
// over, and says more than that; one that no node begins is ended a moment later.
func (c *call) send(x exchange) (Response, error) {
	left := max(c.deadline.Sub(c.o.Now()), time.Nanosecond)
	x.Timeout = min(c.request.Timeout, left)
	return send.Call(c.o, x, reprise.ScheduleToClose(left+moment))
}

const moment = 5 * time.Second

// exchange sends a request as often as the policy says.
func (c *call) exchange(x exchange) (Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := c.send(x)
		wait, again := c.request.Retry.next(attempt, resp, err, c.o.Now())
		if !again || !c.time(wait) {
			return resp, err
		}
		if err := c.o.Sleep(wait); err != nil {
			return resp, err
		}
	}
}

// time reports whether the call may still go on after a wait.
func (c *call) time(wait time.Duration) bool { return c.o.Now().Add(wait).Before(c.deadline) }

func unexpected(r Response) error {
	return &StatusError{r.Status, r.Body[:min(len(r.Body), maxStatusBody)]}
}

// shown is a URL without its query, which may hold a secret.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// networkFailure reports whether an error of an attempt is worth another one.
func networkFailure(err error) bool {
	var network *NetworkError
	return errors.As(err, &network)
}
