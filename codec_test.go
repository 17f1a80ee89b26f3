package reprise_test

import (
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// bareCodec makes nothing of a value that is zero, as protocol buffers do.
type bareCodec struct{}

func (bareCodec) Encode(v any) ([]byte, error) {
	text := v.(string)
	if text == "" {
		return nil, nil
	}
	return []byte{0xff, text[0]}, nil
}

func (bareCodec) Decode(data []byte, v any) error {
	text := v.(*string)
	if *text = ""; len(data) > 0 {
		*text = string(data[1:])
	}
	return nil
}

// TestCodecThatMakesNothing lets an entity have a state of which the codec makes nothing: it
// has one all the same.
func TestCodecThatMakesNothing(t *testing.T) {
	r := reprise.NewRegistry(reprise.WithCodec(bareCodec{}))
	note := reprise.NewEntity[string]("note")
	write := reprise.NewOperation[string, string](note, "write")
	reprise.Bind(r, write, func(e *reprise.EntityContext, s *string, in string) (string, error) {
		before := "absent"
		if e.Exists() {
			before = "there, " + *s
		}
		*s = in
		return before, nil
	})
	code, _ := r.Entity("note")
	run := code.Begin(reprise.EntityInfo{Entity: note.Key("a").ID()}, nil)
	for _, in := range []history.Payload{{}, {0xff, 'x'}, {}} {
		run.Do("write", history.Trace{}, in)
	}
	if b := run.Batch(); b.State == nil || len(b.State) > 0 || b.Results[0].Result[1] != 'a' || b.Results[1].Result[1] != 't' {
		t.Errorf("%+v", run.Batch())
	}
	next := code.Begin(reprise.EntityInfo{Entity: note.Key("a").ID()}, run.Batch().State)
	if next.Do("write", history.Trace{}, nil); next.Batch().Results[0].Result[1] != 't' {
		t.Errorf("%+v", next.Batch())
	}
}
