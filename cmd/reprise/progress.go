package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// progressBar shows how far something is: a bar that is redrawn on a terminal,
// and elsewhere a plain line whenever another tenth is done.
type progressBar struct {
	out      io.Writer
	terminal bool
	drawn    bool // a bar is on the current line
	tenths   int  // the last that was told, plus one
	last     [2]int
}

func newProgressBar(out io.Writer) progressBar {
	f, ok := out.(*os.File)
	return progressBar{out: out, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

const barWidth = 40

// show shows that done of so many are done. Of 0 is not known yet.
func (b *progressBar) show(done, of int) {
	if of == 0 {
		return
	}
	if b.terminal {
		if b.drawn && b.last == [2]int{done, of} {
			return
		}
		b.last = [2]int{done, of}
		b.draw()
		return
	}
	if tenth := 10 * done / of; tenth >= b.tenths {
		b.tenths = tenth + 1
		fmt.Fprintf(b.out, "%3d %%  %d of %d batches\n", 100*done/of, done, of)
	}
}

func (b *progressBar) draw() {
	done, of := b.last[0], b.last[1]
	full := barWidth * done / of
	fmt.Fprintf(b.out, "\r\x1b[K[%s%s] %d of %d batches", strings.Repeat("█", full), strings.Repeat("·", barWidth-full), done, of)
	b.drawn = true
	if done == of {
		fmt.Fprintln(b.out)
		b.drawn = false
	}
}

// say prints a line above the bar.
func (b *progressBar) say(format string, args ...any) {
	if b.drawn {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
	fmt.Fprintf(b.out, format+"\n", args...)
	if b.drawn {
		b.draw()
	}
}
