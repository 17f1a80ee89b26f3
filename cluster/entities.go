package cluster

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// Signal asks an entity for an operation, and returns when that is committed. Errors are
// those of [leader.Leader.Signal], [ErrUnavailable] and the context's. A request with an
// identity is repeated until ctx is done.
func (n *Node) Signal(ctx context.Context, req leader.SignalRequest) error {
	_, err := invoke(ctx, n, signalRequest, req)
	return err
}

// Entity reads an entity. It is linearizable, and waits for no operation.
func (n *Node) Entity(ctx context.Context, req leader.EntityStatusRequest) (leader.Entity, error) {
	return invoke(ctx, n, entityRequest, req)
}

var (
	signalRequest = request[leader.SignalRequest, struct{}]{
		method:     "entity/signal",
		instance:   func(q leader.SignalRequest) leader.InstanceRef { return q.Entity },
		repeatable: func(q leader.SignalRequest) bool { return q.Identity.ID != "" },
		call: func(l *leader.Leader, ctx context.Context, q leader.SignalRequest) (struct{}, error) {
			return struct{}{}, l.Signal(ctx, q)
		},
	}
	entityRequest = request[leader.EntityStatusRequest, leader.Entity]{
		method:     "entity/status",
		instance:   func(q leader.EntityStatusRequest) leader.InstanceRef { return q.Entity },
		repeatable: func(leader.EntityStatusRequest) bool { return true },
		call:       (*leader.Leader).Entity,
	}
)

// EntitiesQuery asks for a page of the entities of a task hub.
type EntitiesQuery struct {
	Hub history.TaskHub
	// Prefix is how their IDs begin; empty: all.
	Prefix history.InstanceID
	// Those that were modified at or after From and before To; zero: no bound.
	From, To time.Time
	// State asks for their states, Transient also for entities that have none.
	State, Transient bool
	// Limit bounds the page; 0 takes the default.
	Limit int
	// Token is where the page before ended; empty: the first page.
	Token string
}

// EntitiesList is a page of the answer, by partition and ID.
type EntitiesList struct {
	Entities []leader.Entity
	// Token is what asks for the next page; empty at the end.
	Token string
}

// Pages of a list of entities.
const (
	entitiesPage    = 100
	maxEntitiesPage = 1000
	// entitiesBytes is how many bytes of states end a page.
	entitiesBytes = 8 << 20
)

const methodEntities = peer.Method("entity/list")

// Entities lists entities, partition by partition. Each is read when its partition is
// reached: an entity that is changed meanwhile appears once, as it was or as it is.
func (n *Node) Entities(ctx context.Context, q EntitiesQuery) (EntitiesList, error) {
	at, err := parseToken(q.Token)
	if err != nil {
		return EntitiesList{}, err
	}
	l := n.currentLayout()
	if l == nil {
		return EntitiesList{}, fmt.Errorf("%w: %w", ErrUnavailable, errNotReady)
	}
	limit := min(q.Limit, maxEntitiesPage)
	if limit <= 0 {
		limit = entitiesPage
	}
	var list EntitiesList
	size := 0
	for _, p := range l.Partitions { // by ID
		if p.ID < at.partition {
			continue
		}
		req := leader.EntitiesRequest{
			Partition: p.ID, Hub: q.Hub, Prefix: q.Prefix, State: q.State, Transient: q.Transient, From: q.From, To: q.To,
		}
		if p.ID == at.partition {
			req.After = at.after
		}
		for {
			if len(list.Entities) >= limit || size >= entitiesBytes {
				list.Token = token{p.ID, req.After}.String()
				return list, nil
			}
			req.Limit = limit - len(list.Entities)
			page, err := n.entitiesOf(ctx, req)
			if err != nil {
				return EntitiesList{}, fmt.Errorf("list entities of partition %d: %w", p.ID, err)
			}
			list.Entities = append(list.Entities, page.Entities...)
			for _, e := range page.Entities {
				size += len(e.State)
			}
			if page.Next == "" {
				break
			}
			req.After = page.Next
		}
	}
	return list, nil
}

// entitiesOf reads a page of a partition.
func (n *Node) entitiesOf(ctx context.Context, req leader.EntitiesRequest) (page leader.EntitiesPage, err error) {
	err = n.route(ctx, func() (uint32, bool) { return req.Partition, true }, true,
		func(ctx context.Context, l *leader.Leader) (err error) {
			page, err = l.Entities(ctx, req)
			return err
		},
		func(ctx context.Context, to peer.NodeID) error {
			body, err := msgpack.Marshal(req)
			if err != nil {
				return fmt.Errorf("encode request: %w", err)
			}
			b, err := n.rpc.call(ctx, to, methodEntities, body)
			if err != nil {
				return err
			}
			page = leader.EntitiesPage{}
			if err := msgpack.Unmarshal(b, &page); err != nil {
				return fmt.Errorf("decode answer: %w", err)
			}
			return nil
		})
	return page, err
}

// handleEntities answers forwarded requests. It never forwards again.
func (n *Node) handleEntities(ctx context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var req leader.EntitiesRequest
	if err := msgpack.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	l, _ := n.localLeader(req.Partition)
	if l == nil {
		return nil, n.away(req.Partition)
	}
	page, err := l.Entities(ctx, req)
	if err != nil {
		return nil, err
	}
	return msgpack.Marshal(page)
}

// token says where a page ended: in which partition, and behind which ID.
type token struct {
	partition uint32
	after     history.InstanceID
}

func (t token) String() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, t.partition), t.after...))
}

func parseToken(text string) (token, error) {
	if text == "" {
		return token{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 4 {
		return token{}, fmt.Errorf("%w: the token %q is not one of a list of entities", leader.ErrInvalid, text)
	}
	return token{binary.BigEndian.Uint32(b), history.InstanceID(b[4:])}, nil
}
