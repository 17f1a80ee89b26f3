package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/partition"
)

// reader lets package partition read a state store.
type reader struct{ pebble.Reader }

// Get implements partition.Reader.
func (r reader) Get(key []byte) ([]byte, error) {
	value, closer, err := r.Reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return bytes.Clone(value), nil
}

// Scan implements partition.Reader.
func (r reader) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		if !fn(it.Key(), it.Value()) {
			break
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// checkReplicas waits until the replicas of each partition have applied the
// same, and compares them byte by byte (G3). One of them is then looked at by
// the checker of invariants.
func (l *workload) checkReplicas() {
	for p := uint32(1); p <= simPartitions; p++ {
		if problem := l.equalReplicas(p); problem != "" {
			l.complain("G3: partition %d: %s", p, problem)
			continue
		}
		violations, err := l.violations(p)
		if err != nil {
			l.complain("check partition %d: %v", p, err)
		}
		for _, v := range violations {
			l.complain("invariant of partition %d: %s", p, v)
		}
	}
}

// violations returns what the checker of invariants says of a partition.
func (l *workload) violations(p uint32) ([]partition.Violation, error) {
	state, err := l.state(p)
	if err != nil {
		return nil, err
	}
	return partition.Check(state, p)
}

// holders returns the nodes that have a replica of a partition. Where there are more than
// three nodes, not all have one.
func (l *workload) holders(p uint32) (all []*cluster.Node, names []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d, err := l.world.running(0).Describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range d.Partitions {
		for _, r := range x.Replicas {
			for i, n := range l.world.nodes {
				if x.ID == p && r.Node == string(n.name) {
					all, names = append(all, l.world.running(i)), append(names, string(n.name))
				}
			}
		}
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("nobody has a replica of partition %d", p)
	}
	return all, names, nil
}

// state returns a replica's state of a partition.
func (l *workload) state(p uint32) (reader, error) {
	all, _, err := l.holders(p)
	if err != nil {
		return reader{}, err
	}
	return reader{all[0].State()}, nil
}

func (l *workload) equalReplicas(p uint32) string {
	problem := "never compared"
	for deadline := time.Now().Add(healTime); time.Now().Before(deadline); time.Sleep(time.Second) {
		var first []byte
		all, names, err := l.holders(p)
		if err != nil {
			problem = err.Error()
			continue
		}
		problem = ""
		for i, n := range all {
			state, err := dump(n, p)
			if err != nil {
				return err.Error()
			}
			if i == 0 {
				first = state
			} else if !bytes.Equal(first, state) {
				problem = fmt.Sprintf("replica %s differs from %s: %s", names[i], names[0], l.describe(p))
			}
		}
		if problem == "" {
			return ""
		}
	}
	return problem
}

// checkLanes waits until nothing is on its way between partitions: what was sent is
// received, and was deleted by its sender (G9).
func (l *workload) checkLanes() {
	problem := "never looked at"
	for deadline := time.Now().Add(healTime); problem != "" && time.Now().Before(deadline); time.Sleep(time.Second) {
		var err error
		if problem, err = l.unsettledLane(); err != nil {
			l.complain("check lanes: %v", err)
			return
		}
	}
	if problem != "" {
		l.complain("G9: after %v of peace: %s", healTime, problem)
	}
}

// unsettledLane says which lane is not at rest.
func (l *workload) unsettledLane() (string, error) {
	for p := uint32(1); p <= simPartitions; p++ {
		r, err := l.state(p)
		if err != nil {
			return "", err
		}
		lanes, err := partition.ReadOutLanes(r, p)
		if err != nil {
			return "", err
		}
		for to, out := range lanes {
			left := 0
			err := partition.ReadOutbox(r, p, to, 0, func(uint64, []byte, int) bool { left++; return true })
			if err != nil {
				return "", err
			}
			there, err := l.state(to)
			if err != nil {
				return "", err
			}
			in, err := partition.ReadInLane(there, to, p)
			if err != nil {
				return "", err
			}
			if left > 0 || to != p && in.Received != out.Next-1 {
				return fmt.Sprintf("lane %d to %d: %d letters sent, %d received, %d left", p, to, out.Next-1, in.Received, left), nil
			}
		}
	}
	return "", nil
}

// dump returns all keys and values of a partition on a node.
func dump(n *cluster.Node, p uint32) ([]byte, error) {
	from := binary.BigEndian.AppendUint32(nil, p)
	to := binary.BigEndian.AppendUint32(nil, p+1)
	var all []byte
	err := reader{n.State()}.Scan(from, to, func(key, value []byte) bool {
		all = binary.AppendUvarint(all, uint64(len(key)))
		all = append(all, key...)
		all = binary.AppendUvarint(all, uint64(len(value)))
		all = append(all, value...)
		return true
	})
	return all, err
}

// describe says how the replicas of a partition are, for people.
func (l *workload) describe(p uint32) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d, err := l.world.running(0).Describe(ctx)
	if err != nil {
		return err.Error()
	}
	for _, x := range d.Partitions {
		if x.ID == p {
			return fmt.Sprintf("%+v", x)
		}
	}
	return "partition is not in the description"
}
