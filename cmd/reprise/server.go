package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/embedded"
	"github.com/reprise-run/reprise/internal/samples"
)

// serverSettings are the flags of "reprise server".
type serverSettings struct {
	node      cluster.Config
	tls       tlsFiles
	gossipKey string
	http      httpSettings
	samples   bool
	pace      time.Duration
	attached  bool
	logLevel  string
	config    string
}

func (p *program) serverCommand() *cobra.Command {
	var s serverSettings
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run one node of a cluster",
		Long: `Run one node of a cluster until it is interrupted or terminated.

A new cluster is founded by as many nodes as --bootstrap-expect says, all with the
same --join; later nodes leave it out. One node alone needs neither. A second start
on the same data directory continues where the node was.

Every flag also comes from REPRISE_<FLAG> (REPRISE_DATA_DIR for --data-dir) and from
the YAML file that --config names, whose keys are the flags without dashes in front.
The command line overrides the environment, which overrides the file.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&s.node.Name, "name", "", "`name` of the node, unique in the cluster and kept for ever")
	f.StringVar(&s.node.DataDir, "data-dir", "", "the node's `directory`; it is created")
	f.StringVar(&s.node.APIAddr, "api-addr", client.DefaultAddress, "`address` for clients (host:port)")
	f.StringVar(&s.node.PeerAddr, "peer-addr", "127.0.0.1:4002", "`address` for other nodes")
	f.StringVar(&s.node.GossipAddr, "gossip-addr", "127.0.0.1:4003", "`address` for membership, TCP and UDP")
	f.StringVar(&s.node.HTTPAddr, "http", "", "`address` for metrics and health, in clear text: /metrics, /healthz, /readyz; empty: none")
	f.BoolVar(&s.node.Pprof, "pprof", false, "serve Go's profiles at the address of --http, too")
	f.StringSliceVar(&s.node.Join, "join", nil, "gossip `addresses` of other nodes, comma-separated")
	f.IntVar(&s.node.BootstrapExpect, "bootstrap-expect", 0, "found a new cluster when so many nodes are there")
	f.IntVar(&s.node.Partitions, "partitions", 0, fmt.Sprintf("partitions of a new cluster; 0: %d", cluster.DefaultPartitions))
	f.IntVar(&s.node.Activities, "activities", 0, "how many activities run here at a time; 0: 64 a processor")
	f.StringToStringVar(&s.node.Labels, "label", nil, "`key=value` that activities may demand of the node; may be repeated, or comma-separated")
	f.BoolVar(&s.samples, "samples", false, "run the sample orchestrations hello and wordcount")
	s.http.flags(cmd)
	s.tls.flags(cmd)
	f.StringVar(&s.gossipKey, "gossip-key", "", "`file` with the key that encrypts gossip: 16, 24 or 32 bytes in base64")
	f.BoolVar(&s.node.Insecure, "insecure", false, "allow listen addresses that are not loopback without TLS and gossip key")
	f.StringVar(&s.logLevel, "log-level", "info", "`debug|info|warn|error`")
	f.StringVar(&s.config, "config", "", "YAML `file` with settings")
	f.DurationVar(&s.pace, "samples-pace", 0, "a batch of wordcount takes at least so long")
	f.BoolVar(&s.attached, "attached", false, "stop when standard input ends")
	for _, hidden := range []string{"samples-pace", "attached"} {
		_ = f.MarkHidden(hidden) // it is there
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := fromEnvironment(f); err != nil {
			return err
		}
		if s.config != "" {
			if err := fromFile(f, s.config); err != nil {
				return err
			}
		}
		return p.serve(cmd.Context(), s)
	}
	return cmd
}

// serve runs a node until ctx ends, from the addresses up.
func (p *program) serve(ctx context.Context, s serverSettings) error {
	config, err := p.nodeConfig(s)
	if err != nil {
		return err
	}
	registry := reprise.NewRegistry(reprise.WithLogger(config.Logger))
	if err := s.http.bind(registry); err != nil {
		return err
	}
	if s.samples {
		samples.Bind(registry, samples.Config{Node: config.Name, Pace: s.pace})
	}
	if s.attached {
		var detach context.CancelFunc
		ctx, detach = context.WithCancel(ctx)
		go func() { // ends with the process, as reading standard input does
			_, _ = io.Copy(io.Discard, p.stdin)
			detach()
		}()
	}
	node, err := embedded.Start(ctx, config, registry)
	if err != nil {
		return err
	}
	go func() {
		if node.Ready(ctx) == nil {
			fmt.Fprintf(p.stdout, "reprise: node %s serves on %s\n", config.Name, node.APIAddr())
		}
	}()
	select {
	case <-ctx.Done():
	case <-node.Served(): // Stop tells why
	}
	return node.Stop(context.WithoutCancel(ctx))
}

// nodeConfig checks the settings and completes the node's configuration.
func (p *program) nodeConfig(s serverSettings) (config cluster.Config, err error) {
	if s.node.Name == "" || s.node.DataDir == "" {
		return config, usage("a node needs --name and --data-dir")
	}
	if s.node.Pprof && s.node.HTTPAddr == "" {
		return config, usage("--pprof serves profiles at the address of --http; give one")
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return config, usage("--log-level %q: debug, info, warn and error are possible", s.logLevel)
	}
	config = s.node
	config.Logger = slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level}))
	config.TLSCert, config.TLSKey, config.TLSCA = s.tls.cert, s.tls.key, s.tls.ca
	if _, err := s.tls.load(); err != nil { // in the words of the flags
		return config, err
	}
	if s.gossipKey != "" {
		text, err := os.ReadFile(s.gossipKey)
		if err != nil {
			return config, usage("read the gossip key: %w", err)
		}
		if config.GossipKey, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))); err != nil {
			return config, usage("gossip key %s is not base64: %w", s.gossipKey, err)
		}
	}
	return config, nil
}
