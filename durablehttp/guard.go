package durablehttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
)

// guard decides where connections go: by the name in the URL, and by the address
// when it is dialed.
type guard struct {
	hosts, private []pattern
	resolver       *net.Resolver
	proxied        bool
}

func newGuard(cfg Config) (*guard, error) {
	g := &guard{resolver: cfg.Resolver}
	if len(cfg.AllowedHosts) == 0 {
		return nil, errors.New(`AllowedHosts is empty: name the hosts that may be called, or "*" for all that have public addresses`)
	}
	var err error
	if g.hosts, err = parsePatterns(cfg.AllowedHosts); err != nil {
		return nil, fmt.Errorf("AllowedHosts: %w", err)
	}
	if g.private, err = parsePatterns(cfg.AllowPrivate); err != nil {
		return nil, fmt.Errorf("AllowPrivate: %w", err)
	}
	for i, p := range g.private {
		if p.any || p.suffix != "" {
			return nil, fmt.Errorf("AllowPrivate: %q: name addresses, ranges or single hosts", cfg.AllowPrivate[i])
		}
	}
	if cfg.Proxy != nil {
		if (cfg.Proxy.Scheme != "http" && cfg.Proxy.Scheme != "https") || cfg.Proxy.Hostname() == "" {
			return nil, fmt.Errorf("proxy %q: it must be a URL with http or https and a host", cfg.Proxy.Redacted())
		}
		g.proxied = true
	}
	return g, nil
}

// checkURL checks the name in a URL that a request, or a redirect, is about to use.
func (g *guard) checkURL(u *url.URL) error {
	if _, err := parseURL(u.String()); err != nil {
		return &RefusedError{u.Host, err.Error()}
	}
	host, port := destination(u)
	if !matches(g.hosts, host, port) {
		return &RefusedError{u.Host, "the host is not allowed; add it to Config.AllowedHosts (reprise server --http-allow)"}
	}
	if ip, err := netip.ParseAddr(host); err == nil && g.proxied {
		return g.checkAddress(host, port, ip) // nothing else will
	}
	return nil
}

// checkAddress checks an address that a host has.
func (g *guard) checkAddress(host, port string, ip netip.Addr) error {
	kind := special(ip)
	if kind == "" || matches(g.private, host, port) || matches(g.private, plain(ip).String(), port) {
		return nil
	}
	return &RefusedError{net.JoinHostPort(host, port), fmt.Sprintf(
		"its address %s is %s; if that is intended, add it to Config.AllowPrivate (reprise server --http-allow-private)", ip, kind)}
}

// dial connects to host:port. Each address that the host has is checked when it is
// dialed, so the one that is checked is the one that is used.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: connectPatience, Resolver: g.resolver}
	if !g.proxied {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		host = canonicalHost(host)
		d.Control = func(_, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return &RefusedError{address, fmt.Sprintf("%q is no IP address", resolved)}
			}
			return g.checkAddress(host, port, at.Addr())
		}
	}
	return d.DialContext(ctx, network, address)
}
