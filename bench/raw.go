package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/internal/testcluster"
	"github.com/reprise-run/reprise/raftlog"
)

// The roles of node processes: a whole node; raftlog and nothing on top, for W0.
const (
	roleNode = "node"
	roleRaw  = "raw"
)

// Paths of the control port of a raw node.
const (
	rawCreate = "/create" // nothing → map of group to server ID
	rawStart  = "/start"  // map of group to server IDs → nothing
	rawLoad   = "/load"   // rawRequest → rawAnswer
	rawSpread = "/spread" // nothing → nothing; gives away what others should lead
)

// rawRequest asks for load on the groups that the node leads.
type rawRequest struct {
	Duration time.Duration
	Bytes    int // of one turn
	Turns    int // in one entry
	InFlight int // entries, for each group
	OneGroup bool
}

// rawAnswer is what was carried.
type rawAnswer struct {
	Groups    []raftlog.GroupID // that the node led
	Turns     int
	Elapsed   time.Duration
	Latencies latencies // from proposal to apply, of single entries
	Fsyncs    uint64
}

// rawGroups is how many groups W0 runs: as many as a cluster has partitions.
const rawGroups = cluster.DefaultPartitions

// rawNode is the state of a raw node.
type rawNode struct {
	spec testcluster.Spec
	host *raftlog.Host

	mu     sync.Mutex // guards the fields below
	groups map[raftlog.GroupID]*raftlog.Group
	reigns map[raftlog.GroupID]*raftlog.Reign
}

// runRaw is the role.
func runRaw() {
	spec := testcluster.Self()
	listener, err := net.Listen("tcp", spec.PeerAddr)
	if err != nil {
		testcluster.Fatal(err)
	}
	network := peer.NewTCP(peer.TCPConfig{
		Self: peer.NodeID(spec.Name), Listener: listener,
		Resolve: func(id peer.NodeID) (string, bool) {
			for _, p := range spec.Peers {
				if p.Name == string(id) {
					return p.PeerAddr, true
				}
			}
			return "", false
		},
	})
	host, err := raftlog.Open(raftlog.Config{Self: peer.NodeID(spec.Name), Dir: spec.Dir, Network: network})
	if err != nil {
		testcluster.Fatal(err)
	}
	network.Serve()
	n := &rawNode{spec: spec, host: host, groups: map[raftlog.GroupID]*raftlog.Group{}, reigns: map[raftlog.GroupID]*raftlog.Reign{}}
	testcluster.Serve(spec, n.report, map[string]http.HandlerFunc{
		rawCreate: handle(n.create), rawStart: handle(n.start), rawLoad: handle(n.load), rawSpread: handle(n.spread),
	})
}

// handle serves a function of JSON in and JSON out.
func handle[In, Out any](f func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := json.NewDecoder(r.Body).Decode(&in)
		if err == nil {
			var out Out
			if out, err = f(r.Context(), in); err == nil {
				err = json.NewEncoder(w).Encode(out)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// report tells which groups the node leads.
func (n *rawNode) report(*http.Request) (any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := rawAnswer{Fsyncs: n.host.Fsyncs()}
	for g := range n.reigns {
		a.Groups = append(a.Groups, g)
	}
	return a, nil
}

func (n *rawNode) create(context.Context, struct{}) (map[raftlog.GroupID]raftlog.ServerID, error) {
	ids := map[raftlog.GroupID]raftlog.ServerID{}
	for g := raftlog.GroupID(1); g <= rawGroups; g++ {
		id, err := n.host.Create(g)
		if err != nil {
			return nil, err
		}
		ids[g] = id
	}
	return ids, nil
}

func (n *rawNode) start(_ context.Context, servers map[raftlog.GroupID][]raftlog.ServerID) (struct{}, error) {
	for g, ids := range servers {
		if err := n.host.Bootstrap(g, ids); err != nil {
			return struct{}{}, err
		}
		group, err := n.host.Start(g, func(ctx context.Context, r *raftlog.Reign) {
			n.note(g, r)
			<-ctx.Done()
			n.note(g, nil)
		})
		if err != nil {
			return struct{}{}, err
		}
		n.mu.Lock()
		n.groups[g] = group
		n.mu.Unlock()
	}
	return struct{}{}, nil
}

func (n *rawNode) note(g raftlog.GroupID, r *raftlog.Reign) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r == nil {
		delete(n.reigns, g)
	} else {
		n.reigns[g] = r
	}
}

// spread hands over the groups that this node leads and another one should.
func (n *rawNode) spread(ctx context.Context, _ struct{}) (struct{}, error) {
	n.mu.Lock()
	var move []*raftlog.Group
	for g := range n.reigns {
		if n.spec.Peers[int(g)%len(n.spec.Peers)].Name != n.spec.Name {
			move = append(move, n.groups[g])
		}
	}
	n.mu.Unlock()
	for _, g := range move {
		want := n.spec.Peers[int(g.ID())%len(n.spec.Peers)].Name
		for _, s := range g.Configuration() {
			if string(s.ID.Node()) != want {
				continue
			}
			if err := g.TransferLeadership(ctx, s.ID); err != nil {
				return struct{}{}, err
			}
		}
	}
	return struct{}{}, nil
}

// load carries turns on the groups that the node leads.
func (n *rawNode) load(ctx context.Context, req rawRequest) (rawAnswer, error) {
	n.mu.Lock()
	var groups []raftlog.GroupID
	var reigns []*raftlog.Reign
	for g, r := range n.reigns {
		if req.OneGroup && len(reigns) == 1 {
			break
		}
		groups, reigns = append(groups, g), append(reigns, r)
	}
	n.mu.Unlock()
	answers := make([]rawAnswer, len(groups))
	errs := make([]error, len(groups))
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, req.Duration)
	defer cancel()
	var wg sync.WaitGroup
	for i := range groups {
		wg.Go(func() { answers[i], errs[i] = carry(ctx, groups[i], reigns[i], req) })
	}
	wg.Wait()
	total := rawAnswer{Groups: groups, Elapsed: time.Since(began)}
	for i, a := range answers {
		if errs[i] != nil {
			return total, fmt.Errorf("group %d: %w", groups[i], errs[i])
		}
		total.Turns += a.Turns
		total.Latencies = append(total.Latencies, a.Latencies...)
	}
	return total, nil
}

// carry keeps entries in flight in one group until ctx ends.
func carry(ctx context.Context, g raftlog.GroupID, r *raftlog.Reign, req rawRequest) (rawAnswer, error) {
	var a rawAnswer
	var sent []time.Time // of the entries that are in flight
	turn := uint64(0)
	applied := r.Applied()
	stalled, cancel := context.WithTimeout(context.WithoutCancel(ctx), req.Duration+10*time.Second)
	defer cancel()
	for {
		for ctx.Err() == nil && len(sent) < req.InFlight {
			entry := rawEntry(g, &turn, req)
			if _, err := r.Propose(entry); err != nil {
				return a, err
			}
			sent = append(sent, time.Now())
		}
		if len(sent) == 0 {
			return a, nil
		}
		select {
		case <-r.Advanced():
		case <-stalled.Done():
			return a, fmt.Errorf("%d entries were not applied for 10 s", len(sent))
		}
		now := time.Now()
		for ; applied < r.Applied(); applied++ {
			a.Turns += req.Turns
			a.Latencies = append(a.Latencies, now.Sub(sent[0]))
			sent = sent[1:]
		}
	}
}

// rowsPerTurn is how many rows a turn writes: the instance's record, a row of
// history, a pending activity that goes and one that comes.
const rowsPerTurn = 4

// rowOverhead is what a row takes in a batch besides its value.
const rowOverhead = 1 + 1 + 13 + 2

// rawEntry makes an entry of turns, each of which overwrites the rows of one of
// a thousand instances.
func rawEntry(g raftlog.GroupID, turn *uint64, req rawRequest) []byte {
	var b pebble.Batch
	row := make([]byte, max(8, req.Bytes/rowsPerTurn-rowOverhead))
	key := binary.BigEndian.AppendUint32(make([]byte, 0, 16), uint32(g))
	for range req.Turns {
		*turn++
		binary.BigEndian.PutUint64(row, *turn)
		for table := byte(1); table <= rowsPerTurn; table++ {
			key = append(key[:4], table)
			key = binary.BigEndian.AppendUint64(key, *turn%1000)
			_ = b.Set(key, row, nil) // a batch without a store never fails
		}
	}
	return b.Repr()
}
