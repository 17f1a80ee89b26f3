package raftlog

import "encoding/binary"

// Keys of the state store begin with the group in 4 bytes, big-endian, and a
// table byte. Table 0 is ours, all others belong to the user of the log.
const recordTable = 0

// recordKey is the key of a group's record.
func recordKey(g GroupID) []byte {
	return append(groupStart(g), recordTable)
}

// groupStart is where the keys of a group begin, in both stores.
func groupStart(g GroupID) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 0, 5), uint32(g))
}

// groupEnd is the first key after those of a group.
func groupEnd(g GroupID) []byte {
	if g == ^GroupID(0) {
		return []byte{0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return groupStart(g + 1)
}

// ownKey reports whether a user of the log may write the key.
func ownKey(g GroupID, key []byte) bool {
	return len(key) >= 5 && GroupID(binary.BigEndian.Uint32(key)) == g && key[4] != recordTable
}

// Rows of a group in the log store: the group, a kind byte, and for entries the
// index in 8 bytes, big-endian.
type logRow byte

const (
	rowIdentity logRow = 1    // version, server ID
	rowTerm     logRow = 2    // current term
	rowVote     logRow = 3    // term of the vote and candidate
	rowSnapshot logRow = 4    // newest snapshot's metadata
	rowIngested logRow = 5    // applied index of the newest snapshot's content
	rowDiverged logRow = 6    // why the replica is in quarantine
	rowEntry    logRow = 0x10 // an entry of the log
)

func rowKey(g GroupID, row logRow) []byte {
	return append(groupStart(g), byte(row))
}

const entryKeyBytes = 4 + 1 + 8

func putEntryKey(key []byte, g GroupID, index uint64) {
	binary.BigEndian.PutUint32(key, uint32(g))
	key[4] = byte(rowEntry)
	binary.BigEndian.PutUint64(key[5:], index)
}

func entryKey(g GroupID, index uint64) []byte {
	key := make([]byte, entryKeyBytes)
	putEntryKey(key, g, index)
	return key
}
