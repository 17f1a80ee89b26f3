package durablehttp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// pattern is an entry of a list of hosts: any, prefix, suffix or name is set.
type pattern struct {
	any    bool
	prefix netip.Prefix // addresses, as plain writes them
	suffix string       // what names end in, with its dot
	name   string
	port   string // "" is every port
}

func parsePatterns(entries []string) ([]pattern, error) {
	all := make([]pattern, len(entries))
	for i, entry := range entries {
		var err error
		if all[i], err = parsePattern(entry); err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
	}
	return all, nil
}

// errPattern says what an entry can be.
var errPattern = errors.New(`it is no host, host:port, IP address, range of addresses, "*.domain", or "*"`)

func parsePattern(entry string) (pattern, error) {
	if entry == "*" {
		return pattern{any: true}, nil
	}
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		if prefix.Addr().Is4In6() {
			return pattern{}, errors.New("write a range of IPv4 addresses as such")
		}
		return pattern{prefix: prefix.Masked()}, nil
	}
	host, port, err := net.SplitHostPort(entry)
	if err != nil { // there is no port
		host, port = strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"), ""
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return pattern{}, errPattern
	}
	host = canonicalHost(host)
	if ip, err := netip.ParseAddr(host); err == nil {
		return pattern{prefix: netip.PrefixFrom(ip, ip.BitLen()), port: port}, nil
	}
	domain, below := strings.CutPrefix(host, "*.")
	switch {
	case domain == "" || strings.ContainsFunc(domain, notInName):
		return pattern{}, errPattern
	case below:
		return pattern{suffix: "." + domain, port: port}, nil
	}
	return pattern{name: domain, port: port}, nil
}

func notInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_'
}

// matches reports whether one of the patterns fits.
func matches(patterns []pattern, host, port string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(host, port) })
}

// matches reports whether the pattern fits a host, as canonicalHost writes it, and a
// port.
func (p pattern) matches(host, port string) bool {
	ip, err := netip.ParseAddr(host)
	switch {
	case p.port != "" && p.port != port:
		return false
	case p.any:
		return true
	case err == nil:
		return p.prefix.IsValid() && p.prefix.Contains(ip)
	case p.suffix != "":
		return strings.HasSuffix(host, p.suffix)
	}
	return p.name != "" && p.name == host
}

// destination returns the host and the port that a URL leads to.
func destination(u *url.URL) (host, port string) {
	port = u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return canonicalHost(u.Hostname()), port
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	aHost, aPort := destination(a)
	bHost, bPort := destination(b)
	return a.Scheme == b.Scheme && aHost == bHost && aPort == bPort
}

// canonicalHost returns the one spelling of a host in which hosts are compared.
func canonicalHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return plain(ip).String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
