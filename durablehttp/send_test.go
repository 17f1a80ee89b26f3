package durablehttp

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
)

func TestTokens(t *testing.T) {
	s := serve(t, status(200, ""))
	cfg := allowed(s)
	host := s.Listener.Addr().String()
	asked := 0
	cfg.TokenSources = map[string]TokenSource{
		"jobs": Bearer(func(ctx context.Context) (string, error) {
			asked++
			return fmt.Sprint("token", asked), ctx.Err()
		}, host),
		"else":  Bearer(func(context.Context) (string, error) { return "", errors.New("it was asked") }, "127.0.0.1", "other.example:80"),
		"empty": Bearer(func(context.Context) (string, error) { return "", nil }, host),
		"down":  Bearer(func(context.Context) (string, error) { return "", errors.New("no answer") }, host),
		"never": Bearer(func(context.Context) (string, error) { return "", reprise.NonRetryable(errors.New("no such client")) }, host),
	}
	for range 2 {
		if _, err := get(t, cfg, Request{URL: s.URL, TokenSource: "jobs"}); err != nil {
			t.Error(err)
		}
	}
	for i, got := range s.got() {
		if auth := got.Header.Get("Authorization"); auth != fmt.Sprint("Bearer token", i+1) {
			t.Errorf("Authorization: %s", auth)
		}
	}
	_, err := get(t, cfg, Request{URL: s.URL, TokenSource: "other"})
	wantRefusal(t, "an unknown source", err, `"other"`, "Config.TokenSources")
	_, err = get(t, cfg, Request{URL: s.URL, TokenSource: "else"})
	wantRefusal(t, "a source for other hosts, or for https", err, `"else" is not for it over http`, "Hosts")
	var network *NetworkError
	for _, source := range []string{"empty", "down"} {
		if _, err = get(t, cfg, Request{URL: s.URL, TokenSource: source}); !errors.As(err, &network) || !strings.Contains(err.Error(), source) {
			t.Errorf("%s: %v", source, err)
		}
	}
	if _, err = get(t, cfg, Request{URL: s.URL, TokenSource: "never"}); errors.As(err, &network) || !reprise.IsNonRetryable(err) {
		t.Errorf("%v", err)
	}
	_, err = get(t, cfg, Request{URL: "http://elsewhere.example", TokenSource: "jobs"})
	wantRefusal(t, "a host that is not allowed", err)
	if asked != 2 || len(s.got()) != 2 {
		t.Errorf("asked %d times, %d requests", asked, len(s.got()))
	}
}

func TestLimits(t *testing.T) {
	zipped := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(make([]byte, 1001))
		_ = z.Close()
	}
	s := serve(t, status(200, strings.Repeat("x", 1000)), status(200, strings.Repeat("x", 1001)), zipped, status(200, "", "X-Long", strings.Repeat("x", maxHeaderBytes)))
	cfg := allowed(s)
	cfg.MaxBodyBytes = 1000
	if resp, err := get(t, cfg, Request{URL: s.URL}); err != nil || len(resp.Body) != 1000 {
		t.Errorf("%d, %v", len(resp.Body), err)
	}
	for _, what := range []string{"long", "long when it is unpacked"} {
		_, err := get(t, cfg, Request{URL: s.URL})
		if !errors.Is(err, ErrBodyTooLarge) || !reprise.IsNonRetryable(err) || !strings.Contains(err.Error(), "1000 bytes, the limit of Config.MaxBodyBytes") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := get(t, cfg, Request{URL: s.URL}); err == nil || !strings.Contains(err.Error(), "headers exceeded") {
		t.Errorf("%v", err)
	}
}

// The largest body that can be allowed is a payload, whatever is in it.
func TestLargestBody(t *testing.T) {
	for _, c := range []string{"\xff", "aa\n", "aaaaaaaaaaaaaaa<"} {
		resp := Response{Status: 200, Body: Body(strings.Repeat(c, LargestMaxBodyBytes/len(c)))}
		if _, err := reprise.EncodePayload(reprise.JSON, "body", resp); err != nil {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	wait := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}
	begin := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		wait(w, r)
	}
	s := serve(t, wait, begin, status(200, "late"))
	r := play(t, allowed(s), func(o *reprise.Orchestration) error {
		r := Request{URL: s.URL + "?secret", Timeout: 50 * time.Millisecond, Retry: Retry{Attempts: 2}}
		_, err := Call(o, r)
		var network *NetworkError
		if !errors.As(err, &network) || !network.TimedOut || !errors.Is(err, reprise.ErrTimeout) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
		r.Timeout = 0
		resp, err := Call(o, r)
		if err != nil || string(resp.Body) != "late" {
			t.Errorf("%+v, %v", resp, err)
		}
		return nil
	})
	if len(r.waits) != 1 {
		t.Errorf("waits %v", r.waits)
	}

	// An attempt whose result is not wanted says so, and is no failure of the network.
	sender, err := newSender(allowed(s))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("not wanted")
	cancel(why)
	if _, err := sender.send(ctx, exchange{Method: "GET", URL: s.URL, Timeout: time.Minute}); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestTLS(t *testing.T) {
	s := unstarted(t, status(200, "private"))
	client, roots := clientCertificate(t)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, MaxVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	servers := x509.NewCertPool()
	servers.AddCert(s.Certificate())

	for _, c := range []struct {
		what string
		tls  *tls.Config
		says string
	}{
		{"no roots", nil, "Config.TLS has the roots"},
		{"no client certificate", &tls.Config{RootCAs: servers}, "tls: handshake failure"},
		{"too old a version", &tls.Config{RootCAs: servers, Certificates: []tls.Certificate{client}, MinVersion: tls.VersionTLS13}, "tls: protocol version"},
		{"all there", &tls.Config{RootCAs: servers, Certificates: []tls.Certificate{client}}, ""},
	} {
		cfg := allowed(s)
		cfg.TLS = c.tls
		resp, err := get(t, cfg, Request{URL: s.URL})
		if c.says == "" {
			if err != nil || string(resp.Body) != "private" {
				t.Errorf("%s: %s, %v", c.what, resp.Body, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || reprise.IsNonRetryable(err) != (c.tls == nil) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	plain := serve(t, status(200, ""))
	_, err := get(t, allowed(plain), Request{URL: strings.Replace(plain.URL, "http:", "https:", 1)})
	if err == nil || !reprise.IsNonRetryable(err) {
		t.Errorf("a server without TLS: %v", err)
	}
}

// clientCertificate returns a certificate and the roots that vouch for it.
func clientCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
