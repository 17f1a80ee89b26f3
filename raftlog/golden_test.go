package raftlog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/hashicorp/raft"
)

var (
	goldenServer = ServerID("000102030405060708090a0b0c0d0e0f@n1")
	goldenOther  = ServerID("f0e1d2c3b4a5968778695a4b3c2d1e0f@n2")
	goldenTime   = time.Unix(1_700_000_000, 123_456_789)
	goldenFrame  = frame{group: 7, target: goldenServer, source: goldenOther}
	goldenLog    = raft.Log{Index: 258, Term: 3, Type: raft.LogCommand, Data: encodeWrite(257, 4, testBatch(7, "k", "v")), AppendedAt: goldenTime}
	goldenConfig = raft.Configuration{Servers: []raft.Server{
		{Suffrage: raft.Voter, ID: raft.ServerID(goldenServer), Address: raft.ServerAddress(goldenServer)},
		{Suffrage: raft.Nonvoter, ID: raft.ServerID(goldenOther), Address: raft.ServerAddress(goldenOther)},
	}}
	goldenMarks = map[GroupID]mark{
		0: {server: goldenServer, term: 3, voteTerm: 2, candidate: string(goldenOther), last: 258, alone: true},
		7: {server: goldenOther},
	}
)

// form is one stored or sent form: its bytes, and what they read back as.
type form struct {
	encoded []byte
	decode  func([]byte) (any, error)
	want    any
}

// framed decodes a message between two replicas.
func framed[T any](decode func(frame, decoder) (T, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) {
		f, d, err := openFrame(b)
		if err != nil {
			return nil, err
		}
		if f != goldenFrame {
			return nil, fmt.Errorf("frame %+v", f)
		}
		return decode(f, d)
	}
}

func forms() map[string]form {
	entryValue := make([]byte, entryValueHeader+len(goldenLog.Data))
	putEntryValue(entryValue, &goldenLog)
	meta := &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: "3-258", Index: 258, Term: 3, ConfigurationIndex: 1, Configuration: goldenConfig,
	}
	request := &raft.AppendEntriesRequest{
		RPCHeader: header(goldenOther), Term: 3, PrevLogEntry: 257, PrevLogTerm: 2, LeaderCommitIndex: 256,
		Entries: []*raft.Log{&goldenLog},
	}
	vote := ballot{term: 4, lastIndex: 258, lastTerm: 3, transfer: true}
	anOffer := offer{transfer: 99, term: 3, index: 258, indexTerm: 3, configurationIndex: 1, configuration: raft.EncodeConfiguration(goldenConfig)}
	rec := record{epoch: 257, sequence: 4, applied: 258, hash: 0xfeedface}
	questions := []termQuestion{{7, goldenServer}, {8, goldenOther}}
	return map[string]form{
		"entry-key": {entryKey(7, 258), func(b []byte) (any, error) {
			return []uint64{uint64(binary.BigEndian.Uint32(b)), uint64(b[4]), binary.BigEndian.Uint64(b[5:])}, nil
		}, []uint64{7, uint64(rowEntry), 258}},
		"entry-value": {entryValue, func(b []byte) (any, error) {
			var l raft.Log
			err := decodeEntryValue(258, b, &l)
			return l, err
		}, goldenLog},
		"open": {encodeOpen(nonce{1, 2, 3}), func(b []byte) (any, error) { return decodeEntry(b) },
			entry{kind: kindOpen, nonce: nonce{1, 2, 3}}},
		"write": {goldenLog.Data, func(b []byte) (any, error) { return decodeEntry(b) },
			entry{kind: kindWrite, epoch: 257, sequence: 4, batch: testBatch(7, "k", "v")}},
		"recover": {encodeRecover(1 << 32), func(b []byte) (any, error) { return decodeEntry(b) },
			entry{kind: kindRecover, step: 1 << 32}},
		"record":       {rec.encode(), func(b []byte) (any, error) { return decodeRecord(b) }, rec},
		"snapshot-row": {encodeSnapshotRow(meta), func(b []byte) (any, error) { return decodeSnapshotRow(b) }, meta},
		"marks": {encodeMarks(5, goldenMarks), func(b []byte) (any, error) {
			slot, table, err := decodeMarks(b)
			if slot != 5 {
				return nil, fmt.Errorf("slot %d: %w", slot, err)
			}
			return table, err
		}, goldenMarks},
		"append": {encodeAppend(goldenFrame, request), framed(func(f frame, d decoder) (any, error) { return decodeAppend(f, d) }), request},
		"append-answer": {encodeAppendAnswer(&raft.AppendEntriesResponse{Term: 3, LastLog: 258, Success: true}), func(b []byte) (any, error) {
			var r raft.AppendEntriesResponse
			err := decodeAppendAnswer(b, &r)
			return r, err
		}, raft.AppendEntriesResponse{Term: 3, LastLog: 258, Success: true}},
		"vote": {encodeBallot(goldenFrame, vote), framed(func(_ frame, d decoder) (any, error) { return decodeBallot(d) }), vote},
		"vote-answer": {encodeVoteAnswer(4, true), func(b []byte) (any, error) {
			term, granted, err := decodeVoteAnswer(b)
			return [2]any{term, granted}, err
		}, [2]any{uint64(4), true}},
		"snapshot-offer": {encodeOffer(goldenFrame, anOffer), framed(func(_ frame, d decoder) (any, error) { return decodeOffer(d) }), anOffer},
		"snapshot-verdict": {encodeVerdict(verdict{has: true, term: 3}), func(b []byte) (any, error) { return decodeVerdict(b) },
			verdict{has: true, term: 3}},
		"snapshot-block": {goldenBlock(), framed(func(_ frame, d decoder) (any, error) {
			block := [5]any{d.uint64(), d.uint32(), string(d.bytes(1 << 20)), string(d.bytes(1 << 20))}
			return block, d.end()
		}), [5]any{uint64(99), uint32(2), string(testKey(7, "k")), "v"}},
		"snapshot-finish": {encodeFinish(goldenFrame, 99, 3, 1000), framed(func(_ frame, d decoder) (any, error) {
			finish := [3]any{d.uint64(), d.uint32(), d.uint64()}
			return finish, d.end()
		}), [3]any{uint64(99), uint32(3), uint64(1000)}},
		"terms-question": {encodeTermQuestions(questions), func(b []byte) (any, error) {
			body, err := unseal(b)
			d := decoder{b: body}
			got := make([]termQuestion, min(d.uint32(), maxTermQuestions))
			for i := range got {
				got[i] = termQuestion{GroupID(d.uint32()), ServerID(d.string(maxServerBytes))}
			}
			if err == nil {
				err = d.end()
			}
			return got, err
		}, questions},
	}
}

func goldenBlock() []byte {
	b := beginBlock(goldenFrame, 99, 2, 64)
	return seal(appendBytes(appendBytes(b, testKey(7, "k")), []byte("v")))
}

// TestGolden pins every stored and sent form: yesterday's disk opens tomorrow, and
// two versions of the program understand each other.
func TestGolden(t *testing.T) {
	all := forms()
	told := map[string]bool{}
	datadriven.RunTest(t, "testdata/golden.txt", func(t *testing.T, d *datadriven.TestData) string {
		name := d.CmdArgs[0].Key
		f, ok := all[name]
		if !ok {
			d.Fatalf(t, "no form %q", name)
		}
		told[name] = true
		return wrapHex(f.encoded)
	})
	for name, f := range all {
		if !told[name] {
			t.Errorf("testdata/golden.txt lacks %s", name)
		}
		got, err := f.decode(bytes.Clone(f.encoded))
		if err != nil || !reflect.DeepEqual(got, f.want) {
			t.Errorf("%s reads back as %+v, %v; want %+v", name, got, err, f.want)
		}
	}
}

// TestDamagedFormsAreRefused flips each bit of what carries a sum.
func TestDamagedFormsAreRefused(t *testing.T) {
	for name, f := range forms() {
		switch name {
		case "entry-key", "entry-value", "open", "write", "recover", "record", "snapshot-row":
			continue // Pebble sums these
		}
		for bit := range 8 * len(f.encoded) {
			b := bytes.Clone(f.encoded)
			b[bit/8] ^= 1 << (bit % 8)
			if got, err := f.decode(b); err == nil {
				t.Fatalf("%s with bit %d flipped is taken for %+v", name, bit, got)
			}
		}
		for length := range f.encoded {
			if got, err := f.decode(bytes.Clone(f.encoded[:length])); err == nil {
				t.Fatalf("%s cut to %d bytes is taken for %+v", name, length, got)
			}
		}
	}
}

// wrapHex prints bytes in lines of 32.
func wrapHex(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(len(b), 32)
		s.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return s.String()
}

// FuzzDecode feeds decoders with anything, sealed, so that it gets past the sum.
// They may refuse it, and must not panic or take more memory than it has.
func FuzzDecode(f *testing.F) {
	all := forms()
	delete(all, "entry-key") // a key is never decoded as a whole
	for _, form := range all {
		f.Add(form.encoded)
		if body, err := unseal(form.encoded); err == nil {
			f.Add(append([]byte{wireVersion}, body...))
		}
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, form := range all {
			_, _ = form.decode(bytes.Clone(b))
			_, _ = form.decode(seal(bytes.Clone(b)))
		}
	})
}
