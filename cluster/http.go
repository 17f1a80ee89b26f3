package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// healthPatience bounds what a question for the health of a node may take.
const healthPatience = 2 * time.Second

// HTTPHandler serves /metrics, /healthz and /readyz, and with [Config].Pprof
// /debug/pprof. [Config].HTTPAddr serves it; a program with a server of its own can
// put it, or parts of it, there.
func (n *Node) HTTPHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.MetricsHandler())
	mux.HandleFunc("GET /healthz", health(func(context.Context) error { return n.Alive() }))
	mux.HandleFunc("GET /readyz", health(n.Serving))
	if n.cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// health answers 200 where ask returns nil, and 503 with its text otherwise.
func health(ask func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthPatience)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := ask(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, err) // whoever asked has gone
			return
		}
		_, _ = fmt.Fprintln(w, "ok") // likewise
	}
}

// serveHTTP answers at the address at which the node is observed, if there is one,
// until shutdown closes it.
func (n *Node) serveHTTP() error {
	if n.cfg.HTTPAddr == "" {
		return nil
	}
	l, err := net.Listen("tcp", n.cfg.HTTPAddr)
	if err != nil {
		return listenError("HTTP address", n.cfg.HTTPAddr, err)
	}
	n.http = &http.Server{Handler: n.HTTPHandler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	n.addrs.http = l.Addr().String()
	n.wg.Go(func() { _ = n.http.Serve(l) }) // ends with Close
	return nil
}

// HTTPAddr returns where the node answers to HTTP; empty: nowhere.
func (n *Node) HTTPAddr() string { return n.addrs.http }
