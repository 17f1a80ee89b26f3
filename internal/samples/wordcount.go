package samples

import (
	"fmt"
	"time"

	reprise "github.com/reprise-run/reprise"
)

// WordCount counts the words of all files below a directory: it lists them, runs
// one activity for each batch of files, and merges the results.
var WordCount = reprise.NewOrchestration[WordCountInput, WordCountOutput]("wordcount")

// The activities of [WordCount].
var (
	List       = reprise.NewActivity[string, Listing]("wordcount.list", reprise.Retry(3, time.Second))
	CountBatch = reprise.NewActivity[Batch, BatchResult]("wordcount.count", reprise.Retry(3, time.Second))
)

// Batches is how many batches a directory is split into, if it has so many files.
const Batches = 48

// DefaultTop is how many words are told if nobody says otherwise.
const DefaultTop = 10

type (
	// WordCountInput names the directory, which every node must see, and how many
	// of the most frequent words to tell; absent: [DefaultTop].
	WordCountInput struct {
		Dir string `json:"dir"`
		Top *int   `json:"top,omitempty"`
	}

	// WordCountOutput is what was counted. A word is a run of letters, lower-cased.
	// The most frequent come first, equally frequent ones in alphabetical order.
	WordCountOutput struct {
		Files int         `json:"files"`
		Words int64       `json:"words"`
		Top   []WordTotal `json:"top"`
	}

	// WordTotal is how often a word occurs.
	WordTotal struct {
		Word  string `json:"word"`
		Count int64  `json:"count"`
	}

	// Progress is the custom status of [WordCount].
	Progress struct {
		Done  int            `json:"done"`
		Of    int            `json:"of"`    // 0 until the files are listed
		Nodes map[string]int `json:"nodes"` // batches by the node that ran them
	}

	// Listing holds the files (paths below the directory) of each batch.
	Listing struct {
		Batches [][]string `json:"batches"`
	}

	// Batch is what one activity counts.
	Batch struct {
		Dir   string   `json:"dir"`
		Files []string `json:"files"`
	}

	// BatchResult is what one activity counted, and where.
	BatchResult struct {
		Node   string `json:"node"`
		Counts Packed `json:"counts"`
	}
)

func wordCount(o *reprise.Orchestration, in WordCountInput) (WordCountOutput, error) {
	top := DefaultTop
	if in.Top != nil {
		top = *in.Top
	}
	if in.Dir == "" || top < 0 {
		return WordCountOutput{}, fmt.Errorf("wordcount needs a directory, and a top that is not negative")
	}
	listing, err := List.Call(o, in.Dir)
	if err != nil {
		return WordCountOutput{}, err
	}
	files := 0
	progress := Progress{Of: len(listing.Batches), Nodes: map[string]int{}}
	var batches []reprise.Future[BatchResult]
	for _, batch := range listing.Batches {
		files += len(batch)
		batches = append(batches, CountBatch.Start(o, Batch{in.Dir, batch}))
	}
	totals := Counts{}
	for _, result := range reprise.AsCompleted(o, batches...) {
		if result.Err != nil {
			return WordCountOutput{}, result.Err
		}
		if err := totals.AddPacked(result.Value.Counts); err != nil {
			return WordCountOutput{}, err
		}
		progress.Done++
		progress.Nodes[result.Value.Node]++
		if err := o.SetCustomStatus(progress); err != nil {
			return WordCountOutput{}, err
		}
	}
	return totals.Output(files, top), nil
}
