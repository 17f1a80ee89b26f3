package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// A group that has lost the majority of its voters for ever cannot elect anybody.
// A recovery makes one replica that is left its only voter, under a new identity
// and in a new lineage, and the group goes on with what that replica has. What
// others had acknowledged beyond it is lost.
//
// hashicorp/raft has RecoverCluster for this. It replays the whole log into a
// state machine, writes a snapshot and then removes the log, in steps that a crash
// can part, and keeps term and identity. Here it is two entries at the end of the
// log and three rows, in one synced batch for all groups of a node.

// recoveryStep is by how much a recovery raises the term and the epoch of a group.
// The replicas that were lost may have been in later terms, and may have opened
// epochs at later indexes; nobody is left who knows. They cannot have come so far.
const recoveryStep = 1 << 32

// Recovery says how a group goes on from a replica of a stopped node.
type Recovery struct {
	Group GroupID `json:"group"`
	// Term is of the entries that are added: above every term that was seen.
	Term uint64 `json:"term"`
	// Lineage is that of the group from now on.
	Lineage Lineage `json:"lineage"`
}

// Recover makes replicas of this node the only voters of their groups. It does all
// of it or nothing, also if it crashes, and returns the new identities. Which
// replicas may be recovered, and from where, [PlanRecovery] decides.
func (s *Stopped) Recover(recoveries []Recovery) ([]ServerID, error) {
	if len(recoveries) == 0 {
		return nil, nil
	}
	var chosen []Replica
	for _, r := range recoveries {
		i := slices.IndexFunc(s.replicas, func(x Replica) bool { return x.Group == r.Group })
		if i < 0 {
			return nil, fmt.Errorf("recover group %d: %w", r.Group, ErrUnknownGroup)
		}
		x := s.replicas[i]
		switch {
		case x.Damage != "":
			return nil, fmt.Errorf("recover group %d: replica %s is damaged: %s", r.Group, x.Server, x.Damage)
		case x.Blank():
			return nil, fmt.Errorf("recover group %d: replica %s is blank", r.Group, x.Server)
		case r.Term <= x.Term || r.Lineage.Generation() <= x.Server.Lineage().Generation():
			return nil, fmt.Errorf("recover group %d: term %d and lineage %s are not above those of replica %s, which is in term %d", r.Group, r.Term, r.Lineage, x.Server, x.Term)
		}
		chosen = append(chosen, x)
	}
	if err := s.openLog(false); err != nil {
		return nil, err
	}
	ids, err := s.recover(recoveries, chosen)
	if failure := s.failure.Load(); failure != nil {
		err = errors.Join(*failure, err)
	}
	if err != nil {
		return nil, fmt.Errorf("recover groups in %s: %w", s.host.cfg.Dir, err)
	}
	return ids, s.read()
}

func (s *Stopped) recover(recoveries []Recovery, chosen []Replica) ([]ServerID, error) {
	h := s.host
	b := h.log.db.NewBatch()
	defer b.Close()
	ids := make([]ServerID, len(chosen))
	for i, x := range chosen {
		ids[i] = newServerID(h.cfg.Self, recoveries[i].Lineage)
		if err := addRecovery(b, x, recoveries[i].Term, ids[i]); err != nil {
			return nil, err
		}
	}
	if err := h.log.commit(b); err != nil {
		return nil, err
	}
	// The marks follow: one of another server ID says nothing.
	for i, x := range chosen {
		err := h.marks.update(x.Group, func(k *mark) {
			*k = mark{server: ids[i], term: recoveries[i].Term, last: x.LastIndex + recoveryEntries, alone: true}
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// recoveryEntries is how many entries a recovery adds.
const recoveryEntries = 2

// addRecovery makes a replica another one: with an identity that no configuration
// knew before, no vote, and a log whose newest configuration has it alone. All
// that is in the log becomes committed, as an elected leader would have it.
func addRecovery(b *pebble.Batch, x Replica, term uint64, id ServerID) error {
	err := errors.Join(
		b.Set(rowKey(x.Group, rowIdentity), append([]byte{rowVersion}, id...), nil),
		b.Set(rowKey(x.Group, rowTerm), binary.BigEndian.AppendUint64([]byte{rowVersion}, term), nil),
		b.Delete(rowKey(x.Group, rowVote), nil),
	)
	for i, l := range [recoveryEntries]raft.Log{
		{Type: raft.LogCommand, Data: encodeRecover(recoveryStep)},
		{Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(configurationOf([]ServerID{id}))},
	} {
		l.Term, l.AppendedAt = term, time.Now()
		value := make([]byte, entryValueHeader+len(l.Data))
		putEntryValue(value, &l)
		err = errors.Join(err, b.Set(entryKey(x.Group, x.LastIndex+1+uint64(i)), value, nil))
	}
	return err
}
