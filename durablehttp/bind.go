package durablehttp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/reprise-run/reprise"
)

// Limits of what a node takes from an endpoint.
const (
	// DefaultMaxBodyBytes is the longest body of a response where [Config] says
	// nothing, after decompression.
	DefaultMaxBodyBytes = 4 << 20
	// LargestMaxBodyBytes is the highest limit: as base64, the body must still fit
	// into a payload.
	LargestMaxBodyBytes = 11 << 20

	maxHeaderBytes = 256 << 10
	maxRedirects   = 10
)

// Config says what a node lets out. Nothing is allowed that it does not name.
type Config struct {
	// AllowedHosts are the hosts that URLs, redirects and Locations may name: a host
	// ("api.example.com", any port), a host with its port, all below a domain
	// ("*.example.com"), an IP address or a range of them ("192.0.2.0/24") where URLs
	// have such, or "*" for all. There must be at least one.
	AllowedHosts []string
	// AllowPrivate are the exceptions from the rule that only public addresses are
	// connected to, whatever the host is called: an address or a range ("10.1.0.0/16",
	// "127.0.0.1:8080"), or a host whose DNS you trust to name private ones
	// ("stock.internal:8080"). Private are loopback, link-local (where clouds keep
	// their metadata), private networks, carrier-grade NAT, multicast and whatever
	// else is not a public unicast address. A host still has to be in AllowedHosts.
	AllowPrivate []string
	// TLS has the roots, client certificates and versions; nil is the system's roots
	// and TLS 1.2 or newer.
	TLS *tls.Config
	// TokenSources are the credentials that requests can name.
	TokenSources map[string]TokenSource
	// MaxBodyBytes limits the body of a response; 0 is [DefaultMaxBodyBytes].
	MaxBodyBytes int64
	// Proxy is an HTTP proxy for all requests. It looks up hosts and connects in this
	// node's stead, so it must be the one that refuses private addresses. That is why
	// HTTP_PROXY and the like are not heeded: a variable of the environment would
	// switch the check off.
	Proxy *url.URL
	// Resolver looks up hosts; nil is the system's.
	Resolver *net.Resolver
}

// TokenSource puts a credential on requests, on the node that sends them.
type TokenSource struct {
	// Hosts are those that get the credential, as in [Config.AllowedHosts]; there must
	// be at least one. It goes over https, or to an entry with a port.
	Hosts []string
	// Set sets it, in a header or as a signature. It is called for each request, so it
	// keeps a token while that is valid; it is safe for concurrent use. The history has
	// the text of its error.
	Set func(ctx context.Context, r *http.Request) error
}

// Bearer is a [TokenSource] that sets the bearer token that the function returns.
func Bearer(token func(context.Context) (string, error), hosts ...string) TokenSource {
	return TokenSource{Hosts: hosts, Set: func(ctx context.Context, r *http.Request) error {
		t, err := token(ctx)
		if err == nil && t == "" {
			err = errors.New("the token is empty")
		}
		r.Header.Set("Authorization", "Bearer "+t)
		return err
	}}
}

// Bind lets a node send the requests of [Call], and run the orchestrations that
// [Start] starts. A node without it is asked for neither. The error says what is
// wrong with the configuration.
func Bind(r *reprise.Registry, cfg Config) error {
	s, err := newSender(cfg)
	if err != nil {
		return fmt.Errorf("bind durable HTTP: %w", err)
	}
	reprise.Bind(r, send, s.send)
	reprise.Bind(r, calling, Call)
	return nil
}

func newSender(cfg Config) (*sender, error) {
	g, err := newGuard(cfg)
	if err != nil {
		return nil, err
	}
	limit := cmp.Or(cfg.MaxBodyBytes, DefaultMaxBodyBytes)
	if limit < 0 || limit > LargestMaxBodyBytes {
		return nil, fmt.Errorf("MaxBodyBytes of %d; it must be between 1 and %d", limit, LargestMaxBodyBytes)
	}
	sources := map[string]credential{}
	for name, source := range cfg.TokenSources {
		hosts, err := parsePatterns(source.Hosts)
		if err != nil {
			return nil, fmt.Errorf("token source %q: Hosts: %w", name, err)
		}
		if name == "" || source.Set == nil || len(hosts) == 0 {
			return nil, fmt.Errorf("token source %q: it needs a name, hosts and a function", name)
		}
		sources[name] = credential{hosts, source.Set}
	}
	transport := &http.Transport{
		DialContext:            g.dial,
		TLSClientConfig:        cfg.TLS.Clone(),
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    connectPatience,
		IdleConnTimeout:        idlePatience,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	if cfg.Proxy != nil {
		transport.Proxy = http.ProxyURL(cfg.Proxy)
	}
	return &sender{guard: g, transport: transport, sources: sources, maxBody: limit}, nil
}
