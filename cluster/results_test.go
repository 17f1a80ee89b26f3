package cluster

import (
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// A message with results can be sent, whatever it is that they carry.
func TestResultsFitIntoAMessage(t *testing.T) {
	large := make(history.Payload, history.MaxPayloadBytes)
	for name, result := range map[string]leader.ActivityResult{
		"outputs":  {Result: large},
		"failures": {Failure: &history.Failure{Message: "declined", Data: large}},
		"progress": {Pending: true, Progress: large[:history.MaxProgressBytes]},
	} {
		p := &workPartition{}
		for range 2 * resultBatch {
			p.waiting = append(p.waiting, &attempt{result: &result})
		}
		batch := takeBatch(p)
		if len(batch) == 0 || len(batch)+len(p.waiting) != 2*resultBatch {
			t.Fatalf("%s: took %d and left %d of %d", name, len(batch), len(p.waiting), 2*resultBatch)
		}
		b, err := msgpack.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		total := len(batch) * len(b)
		if allowed := resultBatchBytes + history.MaxPayloadBytes + 1<<20; total > allowed || total > peer.MaxMessageBytes {
			t.Errorf("%s: a message of %d results has %d bytes", name, len(batch), total)
		}
	}
}
