package history_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/reprise-run/reprise/history"
)

func TestBriefReason(t *testing.T) {
	for reason, want := range map[string]string{
		"":                           "",
		"enough":                     "enough",
		"caf\xe9":                    "caf\uFFFD",
		strings.Repeat("é", 200):     strings.Repeat("é", 128) + "…",
		strings.Repeat("\xe9x", 200): strings.Repeat("\uFFFDx", 64) + "…",
	} {
		if got := history.BriefReason(reason); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q", reason, got)
		}
	}
}
