package e2e

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/internal/heavy"
	"github.com/reprise-run/reprise/internal/testcluster"
)

var (
	stormFlag = flag.Duration("storm", 50*time.Second, "how long TestStorm goes on at least")
	killsFlag = flag.Int("kills", 15, "how many nodes TestStorm kills at least")
	rateFlag  = flag.Float64("rate", 100, "starts a second")
	seedFlag  = flag.Uint64("seed", 0, "seed of the storm; 0: a new one")
)

func TestMain(m *testing.M) {
	testcluster.Main(map[string]func(){
		"node": func() {
			spec := testcluster.Self()
			testcluster.RunNode(func(r *reprise.Registry) { bind(r, newLedgerClient(spec.Extra, spec.Name)) })
		},
	})
	code := heavy.Run(m)
	removeProgram()
	os.Exit(code)
}
