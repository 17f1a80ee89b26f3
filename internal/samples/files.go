package samples

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	reprise "github.com/reprise-run/reprise"
)

// counter runs the activities of [WordCount] on a node.
type counter struct{ Config }

// list finds the regular files below a directory; symbolic links are skipped. The
// batches are of about the same size in bytes.
func (counter) list(_ context.Context, dir string) (Listing, error) {
	files, err := findFiles(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return Listing{}, reprise.NonRetryable(err)
	}
	if err != nil {
		return Listing{}, err
	}
	return Listing{split(files, Batches)}, nil
}

// count counts the words of a batch.
func (c counter) count(ctx context.Context, batch Batch) (BatchResult, error) {
	paced := time.NewTimer(c.Pace)
	defer paced.Stop()
	counts := Counts{}
	for _, name := range batch.Files {
		if err := ctx.Err(); err != nil {
			return BatchResult{}, err
		}
		if err := counts.addFile(filepath.Join(batch.Dir, name)); err != nil {
			return BatchResult{}, err
		}
	}
	select {
	case <-paced.C:
		return BatchResult{c.Node, counts.Pack()}, nil
	case <-ctx.Done():
		return BatchResult{}, ctx.Err()
	}
}

func (c Counts) addFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	if err := c.Add(f); err != nil {
		return fmt.Errorf("count words: %w", err)
	}
	return nil
}

type file struct {
	name string // below the directory
	size int64
}

func findFiles(dir string) ([]file, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, reprise.NonRetryable(fmt.Errorf("%s is not a directory", dir))
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // the directory itself may be a link
		return nil, err
	}
	var files []file
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, file{name, info.Size()})
		return nil
	})
	return files, err
}

// split deals files out, the largest first, each to the batch that has least.
func split(files []file, batches int) [][]string {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name)) })
	out := make([][]string, min(batches, len(files)))
	load := make([]int64, len(out))
	for _, f := range files {
		least := 0
		for i := range load {
			if load[i] < load[least] {
				least = i
			}
		}
		load[least] += f.size + 1
		out[least] = append(out[least], f.name)
	}
	return out
}

// CountSequentially counts the same as [WordCount] in one loop, for comparison.
func CountSequentially(dir string, top int) (WordCountOutput, error) {
	files, err := findFiles(dir)
	if err != nil {
		return WordCountOutput{}, err
	}
	counts := Counts{}
	for _, f := range files {
		if err := counts.addFile(filepath.Join(dir, f.name)); err != nil {
			return WordCountOutput{}, err
		}
	}
	return counts.Output(len(files), top), nil
}
