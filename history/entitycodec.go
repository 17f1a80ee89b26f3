package history

import "github.com/reprise-run/reprise/internal/pack"

// writeEntityEvent writes the body of an event of entities, and reports whether it
// is one.
func writeEntityEvent(w *pack.Writer, body Body) bool {
	switch b := body.(type) {
	case *EntityOperationSignaled:
		w.Array(5 + traceStates(b.Trace))
		w.String(string(b.Target))
		w.String(b.Operation)
		w.Binary(b.Input)
		w.Time(b.ScheduledTime)
		w.String(b.Trace.Parent)
		writeTraceState(w, b.Trace)
	case *EntityOperationCalled:
		w.Array(6 + traceStates(b.Trace))
		w.String(string(b.Target))
		w.String(b.Operation)
		w.Binary(b.Input)
		w.Int(int64(b.Section))
		w.String(b.Trace.Parent)
		WriteParent(w, b.Caller)
		writeTraceState(w, b.Trace)
	case *EntityOperationCompleted:
		w.Array(2)
		w.Int(int64(b.TaskID))
		w.Binary(b.Result)
	case *EntityOperationFailed:
		w.Array(2)
		w.Int(int64(b.TaskID))
		writeFailure(w, b.Failure, 0)
	case *EntityOperationCanceled:
		w.Array(1)
		w.Int(int64(b.TaskID))
	case *EntityLockRequested:
		w.Array(2)
		w.Array(len(b.LockSet))
		for _, id := range b.LockSet {
			w.String(string(id))
		}
		WriteParent(w, b.Holder)
	case *EntityLockGranted:
		w.Array(1)
		w.Int(int64(b.TaskID))
	case *EntityUnlockSent:
		w.Array(2)
		w.Int(int64(b.TaskID))
		WriteParent(w, b.Holder)
	default:
		return false
	}
	return true
}

// readEntityEvent reads the body of an event of entities; nil where the kind is
// another.
func readEntityEvent(r *pack.Reader, kind Kind) Body {
	switch kind {
	case KindEntityOperationSignaled:
		fields := expectWithin(r, 5, 6)
		b := &EntityOperationSignaled{
			Target: InstanceID(r.String()), Operation: r.String(), Input: r.Binary(), ScheduledTime: r.Time(), Trace: Trace{Parent: r.String()},
		}
		if fields > 5 {
			b.Trace.State = r.String()
		}
		return b
	case KindEntityOperationCalled:
		fields := expectWithin(r, 6, 7)
		b := &EntityOperationCalled{
			Target: InstanceID(r.String()), Operation: r.String(), Input: r.Binary(), Section: int32(r.Int()),
			Trace: Trace{Parent: r.String()}, Caller: ReadParent(r),
		}
		if fields > 6 {
			b.Trace.State = r.String()
		}
		return b
	case KindEntityOperationCompleted:
		expect(r, 2)
		return &EntityOperationCompleted{TaskID: int32(r.Int()), Result: r.Binary()}
	case KindEntityOperationFailed:
		expect(r, 2)
		return &EntityOperationFailed{TaskID: int32(r.Int()), Failure: readFailure(r, 0)}
	case KindEntityOperationCanceled:
		expect(r, 1)
		return &EntityOperationCanceled{TaskID: int32(r.Int())}
	case KindEntityLockRequested:
		expect(r, 2)
		b := &EntityLockRequested{}
		for n := r.Array(); n > 0 && r.Err() == nil; n-- {
			b.LockSet = append(b.LockSet, InstanceID(r.String()))
		}
		b.Holder = ReadParent(r)
		return b
	case KindEntityLockGranted:
		expect(r, 1)
		return &EntityLockGranted{TaskID: int32(r.Int())}
	case KindEntityUnlockSent:
		expect(r, 2)
		return &EntityUnlockSent{TaskID: int32(r.Int()), Holder: ReadParent(r)}
	}
	return nil
}
