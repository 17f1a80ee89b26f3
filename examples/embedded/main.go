package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/embedded"
)

// stopPatience is how long stopping in good order may take.
const stopPatience = 15 * time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	node     cluster.Config
	http     string
	payments string
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.StringVar(&s.node.Name, "name", "", "`name` of this copy, kept for ever")
	flags.StringVar(&s.node.DataDir, "data", "", "`directory` of this copy, kept for ever")
	flags.StringVar(&s.http, "http", "127.0.0.1:8081", "`address` of the service")
	flags.StringVar(&s.node.APIAddr, "api", "127.0.0.1:4001", "`address` for clients of the cluster, such as the reprise command")
	flags.StringVar(&s.node.PeerAddr, "peer", "127.0.0.1:4002", "`address` for the other copies")
	flags.StringVar(&s.node.GossipAddr, "gossip", "127.0.0.1:4003", "`address` for membership")
	join := flags.String("join", "", "gossip `addresses` of all copies, comma-separated; empty: this one is alone")
	flags.StringVar(&s.payments, "payments", "", "`URL` of the card company; empty: payments are only logged")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if *join != "" {
		s.node.Join = strings.Split(*join, ",")
		s.node.BootstrapExpect = len(s.node.Join)
	}
	return s, nil
}

// run runs the service until ctx ends: from the addresses up, and down again in
// the opposite order.
func run(ctx context.Context, args []string) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	// A write to disk keeps one of Go's processors busy: let there be enough.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), 8))
	stop := func(part func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
		defer cancel()
		err = errors.Join(err, part(ctx))
	}

	// The node: its part of the cluster, and the code that it runs.
	registry := reprise.NewRegistry()
	bind(registry, shop{payments{s.payments}})
	node, err := embedded.Start(ctx, s.node, registry)
	if err != nil {
		return err
	}
	defer stop(node.Stop) // others take over what it led

	// Our own service is a client of it.
	orders := &http.Server{Addr: s.http, Handler: api{node.Client(), ctx}.handler()}
	ended := make(chan error, 1)
	go func() { ended <- orders.ListenAndServe() }()
	defer stop(orders.Shutdown)

	go func() {
		if node.Ready(ctx) == nil {
			fmt.Printf("orders: %s takes orders on http://%s\n", s.node.Name, s.http)
		}
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-node.Served(): // what failed is in the log, and Stop returns it
		return errors.New("the node serves no more")
	case err := <-ended:
		return err
	}
}
