package sim

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/reprise-run/reprise/history"
)

// action is what a client asked of an instance ID.
type action string

const (
	actStart     action = "start"
	actTerminate action = "terminate"
	actStatus    action = "status"
)

// asked is the input of an operation on an instance ID.
type asked struct {
	action    action
	execution history.ExecutionID // that a start would make
}

// answered is the output. Unknown: the caller does not know what happened, it
// may also happen later.
type answered struct {
	unknown   bool
	refused   bool                // a start found a live instance
	missing   bool                // there is no such instance
	execution history.ExecutionID // that a status saw
	ended     bool                // that a status saw
}

// idState is what an instance ID stands for.
type idState struct {
	execution history.ExecutionID // empty: never started
	ended     bool
}

// idModel is the sequential specification of an instance ID (G2, G10): a start
// makes a new execution unless a live one is there, terminate ends the live
// one, a status tells the truth. The instances in question never end by
// themselves.
//
// An operation of unknown outcome has no end, so it may always be ordered last;
// the model therefore lets it do what it can, and accepts it anywhere.
var idModel = porcupine.Model{
	Init: func() any { return idState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(idState), input.(asked), output.(answered)
		live := s.execution != "" && !s.ended
		switch in.action {
		case actStart:
			switch {
			case out.refused:
				return live, s
			case live:
				return out.unknown, s
			default:
				return true, idState{execution: in.execution}
			}
		case actTerminate:
			if out.missing {
				return s.execution == "", s
			}
			if s.execution == "" {
				return out.unknown, s
			}
			return true, idState{execution: s.execution, ended: true}
		case actStatus:
			if out.unknown {
				return true, s
			}
			if out.missing {
				return s.execution == "", s
			}
			return s.execution == out.execution && s.ended == out.ended, s
		}
		return false, s
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(asked), output.(answered)
		return fmt.Sprintf("%s(%.6s) -> %+v", in.action, in.execution, out)
	},
}

// register records the operations on one instance ID.
type register struct {
	mu         sync.Mutex // guards all below
	begin      time.Time
	operations []porcupine.Operation
}

// maxRegisterOperations bounds an ID's operations: the checker's work grows
// without mercy.
const maxRegisterOperations = 20

// call starts to record an operation and returns the function that ends it, or
// nil if the ID has had enough.
func (r *register) call(client int, in asked) func(answered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.operations) >= maxRegisterOperations {
		return nil
	}
	i := len(r.operations)
	r.operations = append(r.operations, porcupine.Operation{
		ClientId: client, Input: in, Call: time.Since(r.begin).Nanoseconds(),
		Output: answered{unknown: true}, Return: math.MaxInt64,
	})
	return func(out answered) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.operations[i].Output = out
		if !out.unknown {
			r.operations[i].Return = time.Since(r.begin).Nanoseconds()
		}
	}
}

// check returns a description of the operations if they are not linearizable.
func (r *register) check() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Each unknown operation gets a client of its own: it never returns, and one
	// client has one operation at a time.
	operations := slices.DeleteFunc(slices.Clone(r.operations), func(o porcupine.Operation) bool {
		return o.Input.(asked).action == actStatus && o.Output.(answered).unknown // it says nothing
	})
	for i := range operations {
		operations[i].ClientId = i
	}
	if porcupine.CheckOperations(idModel, operations) {
		return ""
	}
	text := ""
	for _, o := range operations {
		text += fmt.Sprintf("  [%d, %d] %s\n", o.Call, o.Return, idModel.DescribeOperation(o.Input, o.Output))
	}
	return text
}
