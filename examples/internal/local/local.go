package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/embedded"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

// Run starts a node with what bind binds, lets use call it, and stops it. What
// happens outside is printed. If anything fails the process ends with code 1.
func Run(bind func(*reprise.Registry, outside.World), use func(context.Context, *client.Client) error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, bind, use); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bind func(*reprise.Registry, outside.World), use func(context.Context, *client.Client) error) (err error) {
	dir, err := os.MkdirTemp("", "reprise-example-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	// The world that activities act on.
	world := Serve(&outside.Service{Happened: func(effect string) { fmt.Println("outside:", effect) }})

	// The node: what it runs, and where it listens (on free ports).
	registry := reprise.NewRegistry()
	bind(registry, outside.World{URL: world, Node: "n1"})
	node, err := embedded.Start(ctx, cluster.Config{
		Name: "n1", DataDir: dir, APIAddr: "127.0.0.1:0",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, registry)
	if err != nil {
		return err
	}
	defer func() {
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, node.Stop(patience))
	}()
	return use(ctx, node.Client())
}

// Serve serves something on a free port for as long as the process lives, and
// returns its URL. It panics where there is no port.
func Serve(handler http.Handler) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(listener, handler)) }() // it does not return
	return "http://" + listener.Addr().String()
}
