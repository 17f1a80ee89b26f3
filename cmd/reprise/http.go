package main

import (
	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/durablehttp"
)

// httpSettings are the flags that let orchestrations call HTTP endpoints from this
// node.
type httpSettings struct{ allow, private []string }

func (s *httpSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&s.allow, "http-allow", nil, "`hosts` that orchestrations may call by HTTP from here (host, host:port, *.domain, * for all), comma-separated; none: this node sends no requests")
	f.StringSliceVar(&s.private, "http-allow-private", nil, "addresses, ranges or `hosts` (10.1.0.0/16, stock.internal:8080) that may be called although they are not public")
}

// bind binds durable HTTP where a host is allowed. Where none is, the name stays
// unbound, so that requests go to the nodes that may send them.
func (s *httpSettings) bind(r *reprise.Registry) error {
	if len(s.allow) == 0 {
		if len(s.private) > 0 {
			return usage("--http-allow-private lets no request out by itself: name the hosts with --http-allow")
		}
		return nil
	}
	if err := durablehttp.Bind(r, durablehttp.Config{AllowedHosts: s.allow, AllowPrivate: s.private}); err != nil {
		return usage("--http-allow, --http-allow-private: %w", err)
	}
	return nil
}
