package sim

import (
	"os"
	"testing"

	"github.com/reprise-run/reprise/internal/heavy"
)

func TestMain(m *testing.M) { os.Exit(heavy.Run(m)) }
