package leader

import (
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
)

// Nodes of the version before had one text where a trace is, in messages that they forward:
// they read it from this version's, and this version reads theirs.
func TestTracesBetweenNodes(t *testing.T) {
	type before struct{ TraceParent string }
	trace := history.Trace{Parent: "00-1", State: "a=1"}
	for _, message := range []any{
		&StartRequest{Name: "o", Trace: trace}, &SignalRequest{Operation: "add", Trace: trace}, &RaiseRequest{Name: "e", Trace: trace}, &ActivityTask{Name: "a", Trace: trace},
	} {
		read := func(data []byte, err error) any {
			into := reflect.New(reflect.TypeOf(message).Elem()).Interface()
			if err == nil {
				err = msgpack.Unmarshal(data, into)
			}
			if err != nil {
				t.Fatal(err)
			}
			return into
		}
		data, err := msgpack.Marshal(message)
		if got := read(data, err); !reflect.DeepEqual(got, message) {
			t.Errorf("%+v, want %+v", got, message)
		}
		var old before
		if err := msgpack.Unmarshal(data, &old); err != nil || old.TraceParent != trace.Parent {
			t.Errorf("%T is read as %+v, %v", message, old, err)
		}
		got := reflect.ValueOf(read(msgpack.Marshal(old))).Elem().FieldByName("Trace").Interface()
		if got != (history.Trace{Parent: trace.Parent}) {
			t.Errorf("%T without a state is read as %+v", message, got)
		}
	}
}
