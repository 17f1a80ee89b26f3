package nodeproc

import (
	"runtime"
	"testing"
)

func TestPrepare(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	t.Setenv("GOMAXPROCS", "")
	Prepare()
	if got := runtime.GOMAXPROCS(0); got < 8 {
		t.Errorf("%d processors", got)
	}
}
