package history

import "github.com/reprise-run/reprise/internal/pack"

// WriteParent writes p, which may be nil, as a field of a record.
func WriteParent(w *pack.Writer, p *ParentInstance) {
	if p == nil {
		w.Nil()
		return
	}
	w.Array(5)
	w.String(p.Name)
	w.String(string(p.Instance))
	w.String(string(p.Execution))
	w.Int(int64(p.TaskID))
	w.Int(int64(p.Depth))
}

// ReadParent reads what [WriteParent] wrote.
func ReadParent(r *pack.Reader) *ParentInstance {
	if r.IsNil() {
		return nil
	}
	fields := expectWithin(r, 4, 5)
	p := &ParentInstance{Name: r.String(), Instance: InstanceID(r.String()), Execution: ExecutionID(r.String()), TaskID: int32(r.Int())}
	if fields > 4 {
		p.Depth = int32(r.Int())
	}
	return p
}
