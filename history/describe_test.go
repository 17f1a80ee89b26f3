package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One line an event; the lines are what people see in logs and on the command
// line.
func TestDescribe(t *testing.T) {
	path := filepath.Join("testdata", "described.txt")
	var got strings.Builder
	for _, e := range every() {
		got.WriteString(Describe(e) + "\n")
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if got := Describe(Event{}); got != "(no event)" {
		t.Errorf("an event without a body: %s", got)
	}
}

func TestDescribePayload(t *testing.T) {
	for payload, want := range map[string]string{
		"":                             "",
		"text":                         "text",
		"a\nb":                         "(3 bytes)",
		"\xff":                         "(1 bytes)",
		strings.Repeat("x", 81):        strings.Repeat("x", 80) + "… (81 bytes)",
		strings.Repeat("é", 100):       strings.Repeat("é", 40) + "… (200 bytes)",
		"x" + strings.Repeat("é", 100): "x" + strings.Repeat("é", 39) + "… (201 bytes)",
	} {
		if got := describePayload(Payload(payload)); got != want {
			t.Errorf("%q is shown as %q, want %q", payload, got, want)
		}
	}
}
