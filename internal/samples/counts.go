package samples

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Counts maps words to how often they occur.
type Counts map[string]int64

// Add counts the words of a text.
func (c Counts) Add(text io.Reader) error {
	in := bufio.NewReaderSize(text, 64<<10)
	word := make([]rune, 0, 64)
	for {
		r, _, err := in.ReadRune()
		if err == nil && unicode.IsLetter(r) {
			word = append(word, unicode.ToLower(r))
			continue
		}
		if len(word) > 0 {
			c[string(word)]++
			word = word[:0]
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// Output returns the totals with the most frequent words.
func (c Counts) Output(files, top int) WordCountOutput {
	all := make([]WordTotal, 0, len(c))
	out := WordCountOutput{Files: files}
	for word, n := range c {
		all = append(all, WordTotal{word, n})
		out.Words += n
	}
	slices.SortFunc(all, func(a, b WordTotal) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Word, b.Word))
	})
	out.Top = slices.Clip(all[:min(top, len(all))])
	return out
}

// Packed holds counts in little space: lines of word and count, sorted by word
// and deflated. A batch of some megabytes of source text takes about 100 KiB.
type Packed []byte

// Pack returns the packed form.
func (c Counts) Pack() Packed {
	var packed bytes.Buffer
	z, _ := flate.NewWriter(&packed, flate.DefaultCompression) // fails for a bad level only
	for _, word := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(z, "%s %d\n", word, c[word]) // a bytes.Buffer takes everything
	}
	_ = z.Close() // likewise
	return packed.Bytes()
}

// AddPacked adds packed counts.
func (c Counts) AddPacked(p Packed) error {
	lines := bufio.NewReader(flate.NewReader(bytes.NewReader(p)))
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack counts: %w", err)
		}
		word, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return fmt.Errorf("unpack counts: %w", err)
		}
		c[word] += n
	}
}
