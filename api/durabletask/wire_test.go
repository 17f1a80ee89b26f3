package durabletask

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// message builds the wire form by hand, from the protocol's numbers alone.
type message []byte

func (m message) text(n protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, n, protowire.BytesType), s)
}

func (m message) number(n protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), v)
}

func (m message) nested(n protowire.Number, in message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, n, protowire.BytesType), in)
}

// value is a StringValue.
func (m message) value(n protowire.Number, s string) message {
	if s == "" {
		return m.nested(n, nil) // present and empty
	}
	return m.nested(n, message(nil).text(1, s))
}

func TestStartAsOtherClientsSendIt(t *testing.T) {
	raw := message(nil).
		text(1, "order-42").text(2, "fulfil").value(3, "1.0").value(4, "").
		nested(5, nil).                                                             // the epoch: now
		nested(6, message(nil).number(1, 3).nested(1, message{1, 5}).number(2, 1)). // statuses, unpacked and packed; the old action
		nested(8, message(nil).text(1, "k").text(2, "v")).
		nested(9, message(nil).text(1, "00-trace").text(2, "span").value(3, "vendor=x")).
		text(1999, "from the future")
	var m CreateInstanceRequest
	if err := proto.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	switch {
	case m.GetInstanceId() != "order-42", m.GetName() != "fulfil", m.GetVersion().GetValue() != "1.0":
		t.Errorf("names: %v", &m)
	case m.Input == nil || len(m.Input.Value) != 0:
		t.Errorf("an empty input must be present and empty: %v", m.Input)
	case !m.GetScheduledStartTimestamp().AsTime().Equal(time.Unix(0, 0)):
		t.Errorf("start time %v", m.GetScheduledStartTimestamp().AsTime())
	case len(m.GetOrchestrationIdReusePolicy().GetReplaceableStatus()) != 3, m.GetOrchestrationIdReusePolicy().GetAction() != CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_IGNORE:
		t.Errorf("policy %v", m.GetOrchestrationIdReusePolicy())
	case m.GetTags()["k"] != "v", m.GetParentTraceContext().GetTraceParent() != "00-trace", m.GetParentTraceContext().GetTraceState().GetValue() != "vendor=x":
		t.Errorf("tags and trace: %v", &m)
	}
}

func TestStateAsOtherClientsReadIt(t *testing.T) {
	want := message(nil).number(1, 1).nested(2, message(nil).text(1, "i").text(2, "o").number(4, 1).value(9, `"x"`))
	var m GetInstanceResponse
	if err := proto.Unmarshal(want, &m); err != nil {
		t.Fatal(err)
	}
	s := m.GetOrchestrationState()
	if !m.GetExists() || s.GetInstanceId() != "i" || s.GetOrchestrationStatus() != OrchestrationStatus_ORCHESTRATION_STATUS_COMPLETED || string(s.GetOutput().GetValue()) != `"x"` {
		t.Errorf("%v", &m)
	}
	got, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("written as %x, want %x", got, want)
	}
}
