package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
)

const (
	// routesAge is how old routes may become while they are in use.
	routesAge = 10 * time.Second
	// routesTimeout limits one question for routes.
	routesTimeout = 2 * time.Second
	// maxLearned bounds how many addresses are kept besides those given.
	maxLearned = 256
)

// nodes holds the connections to the nodes, and what is known about which node
// leads which slot. All of that is a hint: any node takes any request.
type nodes struct {
	dial []grpc.DialOption
	// given are the addresses that the caller named; they are never forgotten.
	given []string

	// ctx ends with close; refreshes wait for nothing longer.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu         sync.Mutex // guards the fields below
	closed     bool
	conns      map[string]*grpc.ClientConn
	learned    []string
	leaders    map[history.Slot]string
	asked      time.Time // when the routes were asked for last
	stale      bool      // a call met a node that could not answer
	refreshing bool
	turn       int // rotates the start among nodes that are equally good
}

func newNodes(addresses []string, dial []grpc.DialOption) *nodes {
	n := &nodes{dial: dial, given: slices.Compact(slices.Clone(addresses)), conns: map[string]*grpc.ClientConn{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

func (n *nodes) close() error {
	n.cancel()
	n.mu.Lock()
	n.closed = true
	conns := n.conns
	n.conns = map[string]*grpc.ClientConn{}
	n.mu.Unlock()
	n.work.Wait()
	var errs []error
	for _, conn := range conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// candidates returns where to send a request for a slot, best first: the leader
// if it is known, then all others beginning with the next in turn.
func (n *nodes) candidates(slot history.Slot) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refreshLocked()
	all := n.addressesLocked()
	n.turn++
	at := n.turn % len(all)
	order := append(append(make([]string, 0, len(all)+1), all[at:]...), all[:at]...)
	if leader, ok := n.leaders[slot]; ok {
		order = slices.DeleteFunc(order, func(a string) bool { return a == leader })
		order = slices.Insert(order, 0, leader)
	}
	return order
}

func (n *nodes) addressesLocked() []string {
	all := slices.Clone(n.given)
	for _, a := range n.learned {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// conn returns the connection to an address, which is made if there is none.
func (n *nodes) conn(address string) (*grpc.ClientConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.connLocked(address)
}

func (n *nodes) connLocked(address string) (*grpc.ClientConn, error) {
	if n.closed {
		return nil, ErrClosed
	}
	if conn, ok := n.conns[address]; ok {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+address, n.dial...)
	if err != nil {
		return nil, err
	}
	n.conns[address] = conn
	return conn, nil
}

// failed notes that a node could not answer for a slot: its route is forgotten,
// and new ones are asked for.
func (n *nodes) failed(address string, slot history.Slot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leaders[slot] == address {
		delete(n.leaders, slot)
	}
	n.stale = true
	n.refreshLocked()
}

// refreshLocked asks for new routes in the background, if they are old or were
// found wrong, and nobody asks already.
func (n *nodes) refreshLocked() {
	age := time.Since(n.asked)
	if n.closed || n.refreshing || age < routesAge && !(n.stale && age > routesAge/100) {
		return
	}
	n.refreshing, n.stale, n.asked = true, false, time.Now()
	addresses := n.addressesLocked()
	n.work.Add(1)
	go func() {
		defer n.work.Done()
		for _, address := range addresses {
			routes, err := n.ask(address)
			if err == nil {
				n.learn(routes)
				return
			}
		}
		n.mu.Lock()
		n.refreshing = false
		n.mu.Unlock()
	}()
}

func (n *nodes) ask(address string) (*reprisev1.GetRoutesResponse, error) {
	conn, err := n.conn(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(n.ctx, routesTimeout)
	defer cancel()
	return reprisev1.NewRepriseServiceClient(conn).GetRoutes(ctx, &reprisev1.GetRoutesRequest{})
}

// learn takes over what a node told. Connections to nodes that are gone are
// closed.
func (n *nodes) learn(m *reprisev1.GetRoutesResponse) {
	leaders := map[history.Slot]string{}
	for _, r := range m.GetRoutes() {
		for _, s := range r.GetSlots() {
			for slot := s.GetFirst(); slot <= s.GetLast() && slot < history.Slots; slot++ {
				leaders[history.Slot(slot)] = r.GetApiAddress()
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refreshing = false
	if n.closed {
		return
	}
	n.leaders = leaders
	n.learned = m.GetAddresses()
	if len(n.learned) > maxLearned {
		n.learned = n.learned[:maxLearned]
	}
	known := n.addressesLocked()
	for address, conn := range n.conns {
		if !slices.Contains(known, address) {
			delete(n.conns, address)
			_ = conn.Close() // it was of no more use
		}
	}
}
