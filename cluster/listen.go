package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// openNetwork makes the node's network, unless one was injected.
func (n *Node) openNetwork() error {
	if n.cfg.Network != nil {
		n.net = n.cfg.Network
		return nil
	}
	tlsConfig, err := peerTLS(n.cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", n.cfg.PeerAddr)
	if err != nil {
		return listenError("peer address", n.cfg.PeerAddr, err)
	}
	n.addrs.peer = listener.Addr().String()
	t := peer.NewTCP(peer.TCPConfig{
		Self: n.self, Listener: listener, TLS: tlsConfig, Logger: n.log,
		Cluster: n.clusterID, Resolve: n.resolve,
	})
	n.net = t
	n.closers = append(n.closers, t)
	return nil
}

// resolve returns where a node listens for its peers: by membership, or by the
// layout where membership does not know.
func (n *Node) resolve(name peer.NodeID) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.known[name]; k != nil && k.member.PeerAddr != "" {
		return k.member.PeerAddr, true
	}
	if n.layout != nil {
		if node, ok := n.layout.node(name); ok && node.PeerAddr != "" {
			return node.PeerAddr, true
		}
	}
	return "", false
}

// openMembership makes the node's membership, unless one was injected.
func (n *Node) openMembership() error {
	if n.cfg.Members != nil {
		n.members = n.cfg.Members
		return nil
	}
	g := newGossip(n.cfg, n.log)
	if err := g.listen(); err != nil {
		return err
	}
	n.members = g
	ip, port, err := g.advertised()
	if err != nil {
		return err
	}
	// What this node says of itself must be what the others see.
	n.addrs = addresses{
		http: n.addrs.http, api: reachable(n.addrs.api, ip), peer: reachable(n.addrs.peer, ip), gossip: net.JoinHostPort(ip, strconv.Itoa(port)),
	}
	return nil
}

// seeds returns whom to contact first: whom the configuration names, and who was
// there before the node stopped.
func (n *Node) seeds(record nodeRecord) []string {
	return append(append([]string{}, n.cfg.Join...), record.Seeds...)
}

// membersChanged wakes tend.
func (n *Node) membersChanged() {
	select {
	case n.gossip <- struct{}{}:
	default:
	}
}

// asMember returns what this node says of itself.
func (n *Node) asMember() Member {
	cluster := n.clusterID()
	n.mu.Lock()
	defer n.mu.Unlock()
	m := Member{
		Name: n.self, PeerAddr: n.addrs.peer, APIAddr: n.addrs.api, GossipAddr: n.addrs.gossip,
		Incarnation: n.incarnation, Cluster: cluster, Functions: n.functions, Leaving: n.stopping,
	}
	if n.layout != nil {
		m.Layout = n.layout.Version
	}
	return m
}

func (n *Node) asLayoutNode() layoutNode { return n.asMember().asLayoutNode() }

func (m Member) asLayoutNode() layoutNode {
	return layoutNode{Name: m.Name, PeerAddr: m.PeerAddr, APIAddr: m.APIAddr, GossipAddr: m.GossipAddr}
}

// announce tells the others what changed about this node. Of two at once, the
// later one must not be overtaken by what the other one saw before.
func (n *Node) announce() {
	n.announcing.Lock()
	defer n.announcing.Unlock()
	if n.members != nil {
		n.members.Update(n.asMember())
	}
}

// peerTLS returns the TLS of connections between nodes, or nil. Both sides show
// a certificate of the CA; names in it are not compared, because nodes move.
func peerTLS(cfg Config) (*tls.Config, error) {
	c, err := cfg.ClientTLS()
	if c == nil {
		return nil, err
	}
	pool := c.ClientCAs
	return &tls.Config{
		MinVersion:   c.MinVersion,
		Certificates: c.Certificates,
		ClientAuth:   c.ClientAuth,
		ClientCAs:    pool,
		// Verified below, against the CA of the cluster and without a host name.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the other node shows no certificate")
			}
			intermediates := x509.NewCertPool()
			for _, c := range s.PeerCertificates[1:] {
				intermediates.AddCert(c)
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: pool, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			})
			return err
		},
	}, nil
}

// ClientTLS returns the TLS of connections between clients and nodes, for either side, from
// the files of the configuration; nil where it names none. Both sides show a certificate of
// the authority, and that of a node must name the host that a client has dialled. Error:
// ErrConfig.
func (c Config) ClientTLS() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("%w: TLS certificate and key: %w", ErrConfig, err)
	}
	pem, err := os.ReadFile(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("%w: TLS CA: %w", ErrConfig, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: TLS CA: %s holds no certificate", ErrConfig, c.TLSCA)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

// listenError says what is wrong with an address.
func listenError(what, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s %s: %w: another program, or another node, listens there; choose another address", what, addr, ErrPortInUse)
	}
	return fmt.Errorf("%w: %s %s: %w", ErrConfig, what, addr, err)
}

// startError gives errors of the stores the identity that callers of this
// package know.
func startError(err error) error {
	for _, e := range []struct{ theirs, ours error }{
		{raftlog.ErrLocked, ErrLocked},
		{raftlog.ErrNewerFormat, ErrNewerFormat},
		{raftlog.ErrCorrupt, ErrCorrupt},
	} {
		if errors.Is(err, e.theirs) && !errors.Is(err, e.ours) {
			return &storeError{err, e.ours}
		}
	}
	return err
}

// storeError is an error that is two sentinels and prints once.
type storeError struct{ err, is error }

func (e *storeError) Error() string   { return e.err.Error() }
func (e *storeError) Unwrap() []error { return []error{e.err, e.is} }
