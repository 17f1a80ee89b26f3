package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossip is [Membership] by hashicorp/memberlist. A death is noticed in about
// 1.4 s.
type gossip struct {
	cfg       Config
	log       *slog.Logger
	transport *memberlist.NetTransport
	changed   func()
	refused   atomic.Bool // a node of another cluster was met since the last look
	update    chan struct{}
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu    sync.Mutex             // guards the fields below
	list  *memberlist.Memberlist // written once, by Start, which starts the goroutines that read it
	self  Member
	seeds []string
	seen  map[string]bool // gossip addresses of members, alive or not
	// alive are the members by name, this node included. memberlist changes its own
	// nodes while others read them; only what it hands to an event may be read.
	alive map[string]Member
}

var (
	_ Membership                  = (*gossip)(nil)
	_ memberlist.Delegate         = (*gossip)(nil)
	_ memberlist.EventDelegate    = (*gossip)(nil)
	_ memberlist.MergeDelegate    = (*gossip)(nil)
	_ memberlist.AliveDelegate    = (*gossip)(nil)
	_ memberlist.ConflictDelegate = (*gossip)(nil)
)

// The pace of joining.
const (
	firstJoinPatience = time.Second
	joinPause         = 300 * time.Millisecond // while nobody else is there
	rejoinPause       = 5 * time.Second        // while somebody known is missing
	updatePatience    = time.Second
	updatePause       = 200 * time.Millisecond // after an update that was not told
	maxMetaBytes      = memberlist.MetaMaxSize
)

func newGossip(cfg Config, l *slog.Logger) *gossip {
	g := &gossip{cfg: cfg, log: l, update: make(chan struct{}, 1), seen: make(map[string]bool), alive: make(map[string]Member)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// listen opens the sockets.
func (g *gossip) listen() error {
	addr, err := net.ResolveTCPAddr("tcp", g.cfg.GossipAddr)
	if err != nil {
		return fmt.Errorf("%w: gossip address %s: %w", ErrConfig, g.cfg.GossipAddr, err)
	}
	ip := addr.IP.String()
	if addr.IP == nil {
		ip = "0.0.0.0"
	}
	g.transport, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{ip}, BindPort: addr.Port, Logger: g.logger(),
	})
	if err != nil && strings.Contains(err.Error(), "address already in use") { // it does not wrap
		return listenError("gossip address", g.cfg.GossipAddr, syscall.EADDRINUSE)
	}
	if err != nil {
		return fmt.Errorf("%w: gossip address %s: %w", ErrConfig, g.cfg.GossipAddr, err)
	}
	return nil
}

// advertised returns the IP address and the port that others see.
func (g *gossip) advertised() (ip string, port int, err error) {
	addr, port, err := g.transport.FinalAdvertiseAddr("", g.transport.GetAutoBindPort())
	if err != nil {
		return "", 0, fmt.Errorf("%w: gossip address %s: %w", ErrConfig, g.cfg.GossipAddr, err)
	}
	return addr.String(), port, nil
}

// Start implements [Membership].
func (g *gossip) Start(ctx context.Context, self Member, seeds []string, changed func()) error {
	g.mu.Lock()
	g.self, g.changed = self, changed
	g.mu.Unlock()
	for _, s := range seeds {
		if s != self.GossipAddr && s != "" && !slices.Contains(g.seeds, s) {
			g.seeds = append(g.seeds, s)
		}
	}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = string(self.Name)
	cfg.Transport = g.transport
	cfg.AdvertisePort = g.transport.GetAutoBindPort()
	cfg.BindPort = cfg.AdvertisePort
	cfg.ProbeInterval, cfg.ProbeTimeout = 300*time.Millisecond, 100*time.Millisecond
	cfg.SuspicionMult, cfg.SuspicionMaxTimeoutMult = 2, 3
	cfg.GossipInterval = 100 * time.Millisecond
	cfg.EnableCompression = false // of messages that fit a packet: it costs more than it saves
	cfg.PushPullInterval = 15 * time.Second
	cfg.TCPTimeout = 2 * time.Second
	cfg.DeadNodeReclaimTime = time.Second // a restarted node may have another address
	cfg.SecretKey = g.cfg.GossipKey
	cfg.Delegate, cfg.Events, cfg.Merge, cfg.Alive, cfg.Conflict = g, g, g, g, g
	cfg.Logger = g.logger()
	list, err := memberlist.Create(cfg)
	if err != nil {
		return fmt.Errorf("start gossip on %s: %w", g.cfg.GossipAddr, err)
	}
	g.mu.Lock()
	g.list = list
	g.mu.Unlock()
	if err := g.firstJoin(ctx); err != nil {
		return err
	}
	g.wg.Go(g.keepJoined)
	g.wg.Go(func() { g.keepUpdated(list.UpdateNode) })
	g.changed()
	return nil
}

// firstJoin tries the seeds once.
func (g *gossip) firstJoin(ctx context.Context) error {
	if len(g.seeds) == 0 {
		return nil
	}
	joined := make(chan error, 1)
	g.wg.Go(func() {
		count, err := g.list.Join(g.seeds)
		if count == 0 && g.refused.Load() {
			joined <- fmt.Errorf("this node's data and the nodes at %s do not belong together: %w: %w", strings.Join(g.seeds, ", "), ErrOtherCluster, err)
			return
		}
		joined <- nil
	})
	timer := time.NewTimer(firstJoinPatience)
	defer timer.Stop()
	select {
	case err := <-joined:
		return err
	case <-timer.C:
		return nil // it goes on in keepJoined
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keepJoined contacts whoever is known and not there, now and then: after a long
// cut, nobody else would.
func (g *gossip) keepJoined() {
	for {
		pause := rejoinPause
		if g.list.NumMembers() == 1 {
			pause = joinPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-g.ctx.Done():
			timer.Stop()
			return
		}
		missing := g.missing()
		if len(missing) == 0 {
			continue
		}
		g.refused.Store(false)
		_, err := g.list.Join(missing)
		switch {
		case g.refused.Load():
			g.log.Error("a node that this one knows belongs to another cluster", "addresses", missing)
		case err != nil:
			g.log.Debug("some nodes are not there", "addresses", missing, "error", err)
		}
	}
}

// missing returns the known addresses at which no member lives.
func (g *gossip) missing() []string {
	alive := make(map[string]bool)
	for _, m := range g.Members() {
		alive[m.GossipAddr] = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var missing []string
	for _, s := range g.seeds {
		if !alive[s] {
			missing = append(missing, s)
		}
	}
	for s := range g.seen {
		if !alive[s] && !slices.Contains(missing, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// keepUpdated tells the others what has changed about this node, again until it is
// said. memberlist loses a change for good if it defends this node against a
// suspicion at the same moment: what it says then is newer, and has the old text.
func (g *gossip) keepUpdated(tell func(patience time.Duration) error) {
	for {
		select {
		case <-g.update:
		case <-g.ctx.Done():
			return
		}
		err := tell(updatePatience)
		if err == nil {
			continue
		}
		g.log.Debug("the others may hear late of a change", "error", err)
		timer := time.NewTimer(updatePause)
		select {
		case <-timer.C:
			g.wakeUpdate()
		case <-g.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// wakeUpdate lets keepUpdated tell what this node says of itself now.
func (g *gossip) wakeUpdate() {
	select {
	case g.update <- struct{}{}:
	default:
	}
}

// Members implements [Membership].
func (g *gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var members []Member
	for name, m := range g.alive {
		if name == g.cfg.Name {
			m = g.self
		}
		members = append(members, m)
	}
	return members
}

// Update implements [Membership].
func (g *gossip) Update(self Member) {
	g.mu.Lock()
	same := g.self == self
	g.self = self
	g.mu.Unlock()
	if same {
		return
	}
	g.wakeUpdate()
}

// Leave implements [Membership].
func (g *gossip) Leave(ctx context.Context) error {
	patience := leavePatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = max(min(patience, time.Until(deadline)), time.Millisecond)
	}
	if err := g.list.Leave(patience); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

// Close implements [Membership].
func (g *gossip) Close() error {
	g.cancel()
	g.mu.Lock()
	list := g.list
	g.mu.Unlock()
	var err error
	if list != nil {
		err = list.Shutdown()
	} else {
		err = g.transport.Shutdown()
	}
	g.wg.Wait()
	return err
}
