package heavy

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Run runs the tests of a heavy package once no other heavy package runs, and
// returns the code to exit with. A lock that cannot be had for any other reason
// than that it is held is told and ignored: the tests still mean something.
func Run(m *testing.M) int {
	name := filepath.Join(os.TempDir(), fmt.Sprintf("reprise-heavy-tests-%d.lock", os.Getuid()))
	release, err := lock(name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "heavy: running without the lock that keeps heavy packages apart: %v\n", err)
	} else {
		defer release()
	}
	return m.Run()
}
