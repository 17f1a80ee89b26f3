package samples

import (
	"time"

	reprise "github.com/reprise-run/reprise"
)

// Config is what the samples are told about where they run.
type Config struct {
	// Node is the name under which results tell where they were made.
	Node string
	// Pace is how long a batch of [WordCount] takes at least, so that people can
	// watch; 0: it takes what it takes.
	Pace time.Duration
}

// Bind binds all samples.
func Bind(r *reprise.Registry, c Config) {
	reprise.Bind(r, Greet, greet)
	reprise.Bind(r, Hello, hello)

	files := counter{c}
	reprise.Bind(r, List, files.list)
	reprise.Bind(r, CountBatch, files.count)
	reprise.Bind(r, WordCount, wordCount)
}
