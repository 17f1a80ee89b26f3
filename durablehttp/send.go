package durablehttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/reprise-run/reprise"
)

const (
	connectPatience = 10 * time.Second
	idlePatience    = 30 * time.Second // of a connection that nobody uses
)

// sender sends requests from a node. It is safe for concurrent use.
type sender struct {
	guard     *guard
	transport http.RoundTripper
	sources   map[string]credential
	maxBody   int64
}

// send is the activity.
func (s *sender) send(ctx context.Context, x exchange) (Response, error) {
	limited, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, x.Method, x.URL, bytes.NewReader(x.Body))
	if err != nil {
		return Response{}, reprise.NonRetryable(errors.New("the request cannot be made"))
	}
	if err := s.guard.checkURL(r.URL); err != nil {
		return Response{}, reprise.NonRetryable(err)
	}
	if err := s.prepare(r, x, r.URL); err != nil {
		return Response{}, s.failure(ctx, r, err)
	}
	client := http.Client{Transport: s.transport, CheckRedirect: s.checkRedirect(r.URL, x)}
	resp, err := client.Do(r)
	if err != nil {
		return Response{}, s.failure(ctx, r, err)
	}
	defer resp.Body.Close()
	body, err := s.read(resp)
	if err != nil {
		return Response{}, s.failure(ctx, resp.Request, err)
	}
	resp.Header.Del("Set-Cookie")
	return Response{resp.StatusCode, resp.Header, body, resp.Request.URL.String()}, nil
}

// prepare sets the header and the credential of a request, which is the first one
// that x asks for, or one that it was redirected to. Where another host than that of
// x gets it, it has nothing that was not meant for everybody.
func (s *sender) prepare(r *http.Request, x exchange, own *url.URL) error {
	same := sameOrigin(own, r.URL)
	r.Header = http.Header{"User-Agent": {"reprise-durablehttp"}}
	for name, values := range x.Header {
		ofBody := strings.HasPrefix(name, "Content-")
		if (same || harmless[name]) && !(ofBody && r.Body == nil) {
			r.Header[name] = slices.Clone(values)
		}
	}
	if x.TokenSource == "" {
		return nil
	}
	source, ok := s.sources[x.TokenSource]
	if !ok {
		return &RefusedError{r.URL.Host, fmt.Sprintf("this node has no token source %q; add it to Config.TokenSources", x.TokenSource)}
	}
	if !source.isFor(r.URL) {
		if x.Elsewhere || !same {
			return nil
		}
		return &RefusedError{r.URL.Host, fmt.Sprintf("token source %q is not for it over %s; add it to the Hosts of the source, with its port", x.TokenSource, r.URL.Scheme)}
	}
	if err := source.set(r.Context(), r); err != nil {
		return fmt.Errorf("token source %q: %w", x.TokenSource, err)
	}
	return nil
}

// credential is a [TokenSource] that was checked.
type credential struct {
	hosts []pattern
	set   func(context.Context, *http.Request) error
}

// isFor reports whether a request for the URL may have the credential.
func (c credential) isFor(u *url.URL) bool {
	host, port := destination(u)
	return slices.ContainsFunc(c.hosts, func(p pattern) bool {
		return p.matches(host, port) && (u.Scheme == "https" || p.port != "")
	})
}

// harmless are the headers that go to hosts other than the request's, too.
var harmless = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Content-Encoding": true, "Content-Language": true,
	"Content-Type": true, "Idempotency-Key": true, "User-Agent": true,
}

// checkRedirect lets redirects pass to allowed hosts.
func (s *sender) checkRedirect(own *url.URL, x exchange) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, before []*http.Request) error {
		if x.NoRedirects {
			return http.ErrUseLastResponse
		}
		if len(before) > maxRedirects {
			return &RefusedError{r.URL.Host, fmt.Sprintf("more than %d redirects", maxRedirects)}
		}
		if err := s.guard.checkURL(r.URL); err != nil {
			return err
		}
		return s.prepare(r, x, own)
	}
}

// read reads the body, up to the limit.
func (s *sender) read(resp *http.Response) (Body, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, s.maxBody+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > s.maxBody {
		return nil, fmt.Errorf("%s: %w: more than %d bytes, the limit of Config.MaxBodyBytes", resp.Request.URL.Host, ErrBodyTooLarge, s.maxBody)
	}
	return body, nil
}

// failure turns an error of an attempt into one that says whether another attempt
// makes sense. Its text has no URL, whose query may hold a secret.
func (s *sender) failure(ctx context.Context, r *http.Request, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // nobody wants the response any more
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	var refused *RefusedError
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &refused):
		return reprise.NonRetryable(refused)
	case errors.Is(err, ErrBodyTooLarge), reprise.IsNonRetryable(err):
		return reprise.NonRetryable(err)
	case errors.As(err, &certificate):
		return reprise.NonRetryable(fmt.Errorf("%s: %w; Config.TLS has the roots", r.URL.Host, err))
	case errors.Is(err, http.ErrSchemeMismatch):
		return reprise.NonRetryable(fmt.Errorf("%s: %w", r.URL.Host, err))
	case r.Context().Err() != nil:
		return &NetworkError{r.URL.Host, "it took too long (Request.Timeout)", true}
	}
	return &NetworkError{r.URL.Host, err.Error(), errors.As(err, &network) && network.Timeout()}
}
