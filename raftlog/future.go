package raftlog

import (
	"reflect"

	"github.com/hashicorp/raft"
)

// releaseOn makes a future of Raft return raft.ErrRaftShutdown when stopped is
// closed. Raft never answers a future that is in a queue when it shuts down, so
// whoever waits for it would wait for ever (raft#498). Its futures have a field
// for this purpose, ShutdownCh, which Raft leaves empty. It must be called before
// anybody waits for the future.
func releaseOn[F raft.Future](f F, stopped chan struct{}) F {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Pointer {
		return f // an error that is there already
	}
	v.Elem().FieldByName("ShutdownCh").Set(reflect.ValueOf(stopped))
	return f
}
