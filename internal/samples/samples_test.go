package samples

import (
	"context"
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"regexp"

	"slices"
	"sort"
	"strings"
	"testing"

	reprise "github.com/reprise-run/reprise"
)

func TestBindings(t *testing.T) {
	r := reprise.NewRegistry()
	Bind(r, Config{Node: "n1"})
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(r.Orchestrators(), " "), "hello wordcount"; got != want {
		t.Errorf("orchestrators %q, want %q", got, want)
	}
}

func TestGreet(t *testing.T) {
	if got, _ := greet(context.Background(), "Tokyo"); got != "Hello, Tokyo!" {
		t.Errorf("greeting %q", got)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `{"files":1,"words":0,"top":[]}`},
		{"  42 -_- ", `{"files":1,"words":0,"top":[]}`},
		{"b a B", `{"files":1,"words":3,"top":[{"word":"b","count":2},{"word":"a","count":1}]}`},
		{"z1y2x", `{"files":1,"words":3,"top":[{"word":"x","count":1},{"word":"y","count":1}]}`},
		{"Straße STRASSE straße", `{"files":1,"words":3,"top":[{"word":"straße","count":2},{"word":"strasse","count":1}]}`},
		{"don't", `{"files":1,"words":2,"top":[{"word":"don","count":1},{"word":"t","count":1}]}`},
		{"a\xffb \ufffd", `{"files":1,"words":2,"top":[{"word":"a","count":1},{"word":"b","count":1}]}`},
		{"日本 日本", `{"files":1,"words":2,"top":[{"word":"日本","count":2}]}`},
	} {
		counts := Counts{}
		if err := counts.Add(strings.NewReader(c.text)); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(counts.Output(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

// naive counts as somebody would who had never seen this package.
func naive(t *testing.T, dir string, top int) WordCountOutput {
	t.Helper()
	letters := regexp.MustCompile(`\p{L}+`)
	counts := map[string]int64{}
	out := WordCountOutput{Top: []WordTotal{}}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out.Files++
		for _, word := range letters.FindAllString(strings.ToValidUTF8(string(text), "."), -1) {
			counts[strings.ToLower(word)]++
			out.Words++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for word, n := range counts {
		out.Top = append(out.Top, WordTotal{word, n})
	}
	sort.Slice(out.Top, func(i, j int) bool {
		a, b := out.Top[i], out.Top[j]
		return a.Count > b.Count || a.Count == b.Count && a.Word < b.Word
	})
	if len(out.Top) > top {
		out.Top = out.Top[:top]
	}
	return out
}

// TestBatchesAgree runs the activities by hand, over real files and a few odd
// ones, and compares with two other counts.
func TestBatchesAgree(t *testing.T) {
	odd := t.TempDir()
	for name, text := range map[string]string{"a.txt": "one two", "empty": "", "sub/b": "Two\xfethree", "sub/.hidden": "four"} {
		path := filepath.Join(odd, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(odd, "a.txt"), filepath.Join(odd, "link")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	link := filepath.Join(t.TempDir(), "linked")
	if err := os.Symlink(odd, link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{odd, link, filepath.Join(build.Default.GOROOT, "src", "net")} {
		node := counter{Config{Node: "n1"}}
		listing, err := node.list(context.Background(), dir)
		if err != nil {
			t.Fatal(err)
		}
		files, totals := 0, Counts{}
		for i, batch := range listing.Batches {
			if len(batch) == 0 {
				t.Errorf("%s: batch %d is empty", dir, i)
			}
			result, err := node.count(context.Background(), Batch{dir, batch})
			if err != nil {
				t.Fatal(err)
			}
			if err := totals.AddPacked(result.Counts); err != nil {
				t.Fatal(err)
			}
			files += len(batch)
		}
		got := totals.Output(files, 50)
		sequential, err := CountSequentially(dir, 50)
		if err != nil {
			t.Fatal(err)
		}
		real := dir
		if dir == link {
			real = odd
		}
		for name, other := range map[string]WordCountOutput{"sequential": sequential, "naive": naive(t, real, 50)} {
			if got.Files != other.Files || got.Words != other.Words || !slices.Equal(got.Top, other.Top) {
				t.Errorf("%s: batches give %+v, the %s count gives %+v", dir, got, name, other)
			}
		}
		if dir != odd && dir != link && len(listing.Batches) != Batches {
			t.Errorf("%s: %d batches, want %d", dir, len(listing.Batches), Batches)
		}
	}
}

func TestMissingDirectoryIsNotRetried(t *testing.T) {
	_, err := counter{}.list(context.Background(), filepath.Join(t.TempDir(), "none"))
	if !reprise.IsNonRetryable(err) {
		t.Errorf("error %v would be retried", err)
	}
}

func TestUnpackRefusesDamage(t *testing.T) {
	for _, p := range []Packed{{1, 2, 3}, Counts{"a b": 1}.Pack()} {
		if err := (Counts{}).AddPacked(p); err == nil {
			t.Errorf("%q was taken", p)
		}
	}
}
