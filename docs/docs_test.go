package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// program is a code block whose first line names its file.
var program = regexp.MustCompile("(?s)```go\n// ([a-z_]+\\.go)\n(.*?)```")

// What a reader copies must compile; go vet looks at it, too.
func TestPrograms(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		dir, args := t.TempDir(), []string{"vet"}
		for _, block := range program.FindAllSubmatch(text, -1) {
			file := filepath.Join(dir, string(block[1]))
			if err := os.WriteFile(file, block[2], 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
			found++
		}
		if len(args) == 1 {
			continue
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
	}
	if found == 0 {
		t.Error("no page shows a program")
	}
}
