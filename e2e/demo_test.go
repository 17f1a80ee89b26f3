package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDemo: the demo kills, takes over, compares, and says so line by line.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	const files = 200
	for i := range files {
		var text strings.Builder
		for range 300 {
			fmt.Fprintf(&text, "w%c%c ", 'a'+rune(r.IntN(26)), 'a'+rune(r.IntN(8)))
		}
		write(t, filepath.Join(dir, fmt.Sprintf("f%03d.txt", i)), text.String())
	}
	temp := t.TempDir()
	o := command{env: []string{"TMPDIR=" + temp}}.run(t, "demo", "--dir", dir)
	if o.code != 0 || o.stderr != "" {
		t.Fatalf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
	}
	find := func(pattern string) []int {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(o.stdout)
		if m == nil {
			t.Fatalf("no line %q in\n%s", pattern, o.stdout)
		}
		var numbers []int
		for _, text := range m[1:] {
			if n, err := strconv.Atoi(text); err == nil {
				numbers = append(numbers, n)
			}
		}
		return numbers
	}
	for i := range 3 {
		find(fmt.Sprintf(`node n%d serves on 127\.0\.0\.1:\d+ \(process \d+\)`, i+1))
	}
	find(`counting the words of all files below ` + regexp.QuoteMeta(dir))
	find(` *\d+ %  \d+ of \d+ batches`)
	killed := find(`killed node n([123]) \(kill -9\), which led the orchestration, at (\d+) of (\d+) batches \((\d+) %\)`)
	if of, percent := killed[2], killed[3]; of < 24 || percent < 30 || percent > 70 {
		t.Errorf("killed at %d %% of %d batches", percent, of)
	}
	find(`takeover: a new leader answered after \S+, and the next batch was recorded after \S+`)
	find(fmt.Sprintf(`restarted node n%d`, killed[0]))
	find(fmt.Sprintf(`%d files, %d words; the most frequent: .*`, files, 300*files))
	find(`the results are identical \(the sequential count took \S+\)`)
	ran := 0
	for i := range 3 {
		ran += find(fmt.Sprintf(`node n%d ran (\d+) batches`, i+1))[0]
	}
	after := find(`(\d+) of (\d+) batches finished after the takeover`)
	if ran != killed[2] || after[0] <= 0 || after[1] != killed[2] {
		t.Errorf("%d of %d batches ran, %d after the takeover", ran, killed[2], after[0])
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// TestDemoRefuses: too few files for a kill to fall into the work.
func TestDemoRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one"), "word")
	command{}.run(t, "demo", "--dir", filepath.Join(dir, "one")).want(t, 2, "", "is not a directory")
	if o := (command{}).run(t, "demo", "--dir", dir); o.code != 2 || !strings.Contains(o.stderr, "too few files") {
		t.Errorf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
	}
}
