package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// The tests of this file speak the Durable Task protocol byte by byte: no code of
// ours encodes or decodes, so what they find is what a foreign client finds.

// message is a message's fields by number, the last one of each.
type message map[protowire.Number][]byte

// field encodes one field: a text, a flag, a number or a message.
func field(number protowire.Number, value any) []byte {
	switch v := value.(type) {
	case string:
		return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), v)
	case []byte:
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), v)
	case bool:
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), protowire.EncodeBool(v))
	case int:
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))
	}
	panic(fmt.Sprintf("a field of type %T", value))
}

// wrapped encodes a StringValue.
func wrapped(text string) []byte { return field(1, text) }

func encode(fields ...[]byte) []byte {
	out := []byte{} // an empty message is no nil
	for _, f := range fields {
		out = append(out, f...)
	}
	return out
}

// decode calls do with each field; numbers come as their varints.
func decode(t *testing.T, b []byte, do func(protowire.Number, []byte)) {
	t.Helper()
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("no tag in %x", b)
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(number, kind, b)
		if n < 0 {
			t.Fatalf("no value of field %d in %x", number, b)
		}
		value := b[:n]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(b)
		}
		do(number, value)
		b = b[n:]
	}
}

func parse(t *testing.T, b []byte) message {
	t.Helper()
	m := message{}
	decode(t, b, func(number protowire.Number, value []byte) { m[number] = value })
	return m
}

// text is the text in a StringValue, or "absent".
func (m message) text(t *testing.T, number protowire.Number) string {
	t.Helper()
	value, ok := m[number]
	if !ok {
		return "absent"
	}
	return string(parse(t, value)[1])
}

func (m message) number(number protowire.Number) uint64 {
	value, _ := protowire.ConsumeVarint(m[number])
	return value
}

// raw is a codec that takes bytes for messages.
type raw struct{}

func (raw) Name() string                    { return "proto" }
func (raw) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = append([]byte{}, b...); return nil }

// The numbers of statuses.
const (
	wireCompleted  = 1
	wireTerminated = 5
	wirePending    = 6
)

// TestDurableTaskProtocol is the client side of the protocol against a node.
func TestDurableTaskProtocol(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", "--samples")
	n.start(t)
	conn, err := grpc.NewClient(n.api, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	call := func(ctx context.Context, method string, request []byte) (message, error) {
		var answer []byte
		err := conn.Invoke(ctx, "/TaskHubSidecarService/"+method, request, &answer)
		return parse(t, answer), err
	}
	must := func(method string, request []byte) message {
		t.Helper()
		answer, err := call(ctx, method, request)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return answer
	}
	want := func(code codes.Code, method string, request []byte) {
		t.Helper()
		if _, err := call(ctx, method, request); status.Code(err) != code {
			t.Errorf("%s: %v, want %v", method, err, code)
		}
	}

	must("Hello", encode())

	// What the JavaScript client sends: the epoch as start time, and always an input.
	started := must("StartInstance", encode(field(1, "js-1"), field(2, "hello"), field(4, wrapped(`["Bonn"]`)), field(5, []byte{})))
	if string(started[1]) != "js-1" {
		t.Errorf("StartInstance answers %q", started[1])
	}
	ended := must("WaitForInstanceCompletion", encode(field(1, "js-1"), field(2, true)))
	state := parse(t, ended[2])
	if ended.number(1) != 1 || string(state[1]) != "js-1" || string(state[2]) != "hello" || state.number(4) != wireCompleted ||
		state.text(t, 8) != `["Bonn"]` || state.text(t, 9) != `["Hello, Bonn!"]` || len(state[6]) == 0 || len(state[13]) == 0 {
		t.Errorf("the completed instance is %q", state)
	}
	if bare := parse(t, must("GetInstance", encode(field(1, "js-1")))[2]); bare.text(t, 8) != "absent" || bare.text(t, 9) != "absent" {
		t.Errorf("payloads that nobody asked for: %q", bare)
	}
	if m := must("WaitForInstanceStart", encode(field(1, "js-1"))); m.number(1) != 1 {
		t.Errorf("WaitForInstanceStart: %q", m)
	}

	// Without an ID, the node chooses one of 32 hexadecimal digits.
	if m := must("StartInstance", encode(field(2, "hello"), field(4, wrapped(`[]`)))); len(m[1]) != 32 {
		t.Errorf("generated ID %q", m[1])
	}

	// Nobody there is not an error to those who read, and one to those who write.
	for _, method := range []string{"GetInstance", "WaitForInstanceStart", "WaitForInstanceCompletion"} {
		if m := must(method, encode(field(1, "none"))); m.number(1) != 0 {
			t.Errorf("%s of an unknown ID: %q", method, m)
		}
	}
	want(codes.NotFound, "TerminateInstance", encode(field(1, "none")))
	want(codes.InvalidArgument, "StartInstance", encode(field(1, "a/b"), field(2, "hello")))
	want(codes.InvalidArgument, "StartInstance", encode(field(1, "@e@k"), field(2, "hello")))
	want(codes.Unimplemented, "NoSuchMethod", encode())

	// A live ID is taken, unless the policy (here in an old client's form) lets a
	// pending one be.
	must("StartInstance", encode(field(1, "idle"), field(2, "nobody")))
	want(codes.AlreadyExists, "StartInstance", encode(field(1, "idle"), field(2, "nobody")))
	must("StartInstance", encode(field(1, "idle"), field(2, "nobody"), field(6, encode(field(1, wirePending), field(2, 1)))))
	if m := parse(t, must("GetInstance", encode(field(1, "idle")))[2]); m.number(4) != wirePending {
		t.Errorf("an instance without code is in status %d", m.number(4))
	}
	short, cancelShort := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancelShort()
	if _, err := call(short, "WaitForInstanceCompletion", encode(field(1, "idle"))); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a wait beyond its deadline: %v", err)
	}
	must("TerminateInstance", encode(field(1, "idle"), field(2, wrapped(`"enough"`))))
	must("TerminateInstance", encode(field(1, "idle"))) // it has ended: no effect
	if m := parse(t, must("WaitForInstanceCompletion", encode(field(1, "idle"), field(2, true)))[2]); m.number(4) != wireTerminated || m.text(t, 9) != `"enough"` {
		t.Errorf("the terminated instance is %q", m)
	}

	// Another task hub is another world.
	other := metadata.AppendToOutgoingContext(ctx, "taskhub", "other")
	if m, err := call(other, "GetInstance", encode(field(1, "js-1"))); err != nil || m.number(1) != 0 {
		t.Errorf("an instance of another task hub: %q, %v", m, err)
	}

	events := historyEvents(ctx, t, conn, "js-1")
	const executionStarted, executionCompleted, timestamp = 3, 4, 2
	if len(events) < 4 || events[1][executionStarted] == nil || events[len(events)-1][executionCompleted] == nil {
		t.Errorf("history: %q", events)
	}
	for _, e := range events {
		if e[timestamp] == nil {
			t.Errorf("an event without a timestamp: %q", e)
		}
	}
	if instance := parse(t, parse(t, events[1][executionStarted])[4]); string(instance[1]) != "js-1" || len(instance.text(t, 2)) != 32 {
		t.Errorf("the history's instance is %q", instance)
	}
}

// historyEvents reads StreamInstanceHistory to its end.
func historyEvents(ctx context.Context, t *testing.T, conn *grpc.ClientConn, id string) (events []message) {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/TaskHubSidecarService/StreamInstanceHistory")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(encode(field(1, id))), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	for {
		var chunk []byte
		if err := stream.RecvMsg(&chunk); errors.Is(err, io.EOF) {
			return events
		} else if err != nil {
			t.Fatalf("history: %v", err)
		}
		decode(t, chunk, func(_ protowire.Number, event []byte) { events = append(events, parse(t, event)) })
	}
}
