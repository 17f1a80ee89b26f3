package cluster

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

// DefaultPartitions is how many partitions a new cluster has if nobody says
// otherwise: near the peak of throughput on three nodes.
const DefaultPartitions = 12

// MaxPartitions bounds [Config].Partitions: more Raft groups cost more in
// heartbeats than they bring.
const MaxPartitions = 64

// Config is what a node is made of. Name and DataDir are needed, and either the
// three addresses or an injected world.
type Config struct {
	// Name is the node's name, unique in its cluster and kept for ever.
	Name string
	// DataDir is the node's directory. It is created.
	DataDir string

	// APIAddr is where clients reach the node (host:port). [Start] only tells it to
	// others; serving it is the caller's matter, which package embedded sees to.
	APIAddr string
	// PeerAddr is where nodes reach each other (TCP).
	PeerAddr string
	// GossipAddr is where membership is exchanged (TCP and UDP).
	GossipAddr string
	// HTTPAddr is where the node answers to HTTP, in clear text: /metrics, /healthz and
	// /readyz. Empty: nowhere; [Node.HTTPHandler] is there in any case.
	HTTPAddr string
	// Pprof serves Go's profiles there, too, under /debug/pprof.
	Pprof bool
	// Join holds gossip addresses of nodes, any of them. Not needed after the
	// first start, which stores the addresses of all.
	Join []string
	// BootstrapExpect is how many nodes found a new cluster together. 0 and 1: one
	// node alone, if Join is empty; with Join, 0 is a node that only joins.
	BootstrapExpect int
	// Partitions is how many partitions a new cluster gets; 0 is
	// [DefaultPartitions]. It is fixed when the cluster is founded.
	Partitions int

	// TLSCert, TLSKey and TLSCA are PEM files for mutual TLS between nodes.
	TLSCert, TLSKey, TLSCA string
	// GossipKey encrypts gossip: 16, 24 or 32 bytes.
	GossipKey []byte
	// Insecure allows listen addresses that are not loopback without TLS and a
	// gossip key.
	Insecure bool

	// Labels describe the node to people, and to activities that demand some. See
	// [history.ValidateLabels] for their bounds.
	Labels map[string]string
	// Activities is how many activities run here at a time; 0 is 64 for each
	// processor that Go uses.
	Activities int
	// Program names the code that this process runs. An orchestration that did not yield
	// is run again when a node comes with a program that was not known before. Empty: the
	// content of the executable file.
	Program string
	// KeptExecutions is how many executions stay in memory between their episodes; 0 is
	// 10,000. With a negative number each episode is a replay from the history, which
	// finds code that is not deterministic, for tests.
	KeptExecutions int
	// Limits bound each leader on this node.
	Limits leader.Limits
	// Spans hears of every traced execution, activity and operation of an entity that has
	// ended, once that is committed, from the node that led then: once, or never if that node dies at that
	// moment or spans come faster than they are taken. One call at a time. Nil: nobody
	// wants them. Package otelreprise makes spans of OpenTelemetry of them.
	Spans func(history.Span)
	// Logger gets what people should know; nil: slog.Default.
	Logger *slog.Logger
	// OnFatal is called when the node cannot go on (a failed disk, a damaged
	// store, another cluster's data). It must not return to a node in use; nil:
	// the error is logged and the process exits with code 7.
	OnFatal func(error)

	// The injected world, for tests and simulation. FS nil: the disk. Clock nil:
	// time.Now. Network and Members nil: TCP and memberlist.
	FS      vfs.FS
	Clock   func() time.Time
	Network peer.Network
	Members Membership
	// Faults and RaftFaults plant bugs, for tests of the tests.
	Faults     *leader.Faults
	RaftFaults *raftlog.Faults
	// TuneRaft changes the sizes and timings of the log, so that a test sees in a
	// minute what a node does in a day. Nil: what raftlog takes by itself.
	TuneRaft func(*raftlog.Config)
}

// Validate says what is wrong with the configuration, as [Start] would, without
// touching anything. Error: ErrConfig.
func (c Config) Validate() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults checks the configuration and fills what was left out.
func (c Config) withDefaults() (Config, error) {
	invalid := func(format string, args ...any) (Config, error) {
		return c, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
	}
	if err := validNodeName(c.Name); err != nil {
		return invalid("node name %q %v", c.Name, err)
	}
	switch {
	case c.DataDir == "":
		return invalid("no data directory")
	case c.BootstrapExpect < 0:
		return invalid("bootstrap-expect is %d; it cannot be negative", c.BootstrapExpect)
	case c.Partitions < 0 || c.Partitions > MaxPartitions:
		return invalid("%d partitions; 1 to %d are possible", c.Partitions, MaxPartitions)
	}
	if err := history.ValidateLabels(c.Labels); err != nil {
		return invalid("%v", err)
	}
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.BootstrapExpect == 0 && len(c.Join) == 0 && c.Members == nil {
		c.BootstrapExpect = 1
	}
	if c.Activities <= 0 {
		c.Activities = 64 * runtime.GOMAXPROCS(0)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.OnFatal == nil {
		logger := c.Logger
		c.OnFatal = func(err error) {
			logger.Error("node cannot go on", "error", err)
			os.Exit(7)
		}
	}
	if len(c.TLSCert) > 0 != (len(c.TLSKey) > 0) || len(c.TLSCert) > 0 != (len(c.TLSCA) > 0) {
		return invalid("TLS needs a certificate, a key and a CA")
	}
	if n := len(c.GossipKey); n != 0 && n != 16 && n != 24 && n != 32 {
		return invalid("the gossip key has %d bytes; it needs 16, 24 or 32", n)
	}
	for _, a := range []struct {
		what, addr string
		needed     bool
	}{
		{"peer address", c.PeerAddr, c.Network == nil},
		{"gossip address", c.GossipAddr, c.Members == nil},
		{"API address", c.APIAddr, false},
		{"HTTP address", c.HTTPAddr, false},
	} {
		if a.addr == "" {
			if a.needed {
				return invalid("no %s", a.what)
			}
			continue
		}
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			return invalid("%s %q: %v", a.what, a.addr, err)
		}
		secure := c.TLSCert != "" && len(c.GossipKey) > 0
		if !isLoopback(host) && !secure && !c.Insecure && c.Network == nil {
			return invalid("%s %s is not loopback: anybody who reaches it could read and change everything; give TLS files and a gossip key, or --insecure where the network keeps others out", a.what, a.addr)
		}
	}
	return c, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// validNodeName says why a name cannot name a node: it is part of Raft server
// IDs ("<hex>@<name>") and of host-like lists.
func validNodeName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty")
	case len(name) > 64:
		return fmt.Errorf("has %d bytes; at most 64 are allowed", len(name))
	}
	for _, r := range name {
		if !(r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r))) {
			return fmt.Errorf("has the character %q; letters, digits and - _ . are allowed", r)
		}
	}
	return nil
}
