package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Counts struct{ Lines, Words int }
	Totals struct {
		Counts
		Files  int
		Failed map[string]string // by URL
	}
	// Progress is the custom status.
	Progress struct{ Done, Of int }
)

var (
	CountAll = reprise.NewOrchestration[[]string, Totals]("fanout.count-all")
	Count    = reprise.NewActivity[string, Counts]("fanout.count",
		reprise.Retry(5, 100*time.Millisecond), reprise.Timeout(10*time.Second))

	ErrNoFile = reprise.NewError("fanout.no_file", "there is no such file")
)

func countAll(o *reprise.Orchestration, urls []string) (Totals, error) {
	var files []reprise.Future[Counts]
	for _, url := range urls {
		files = append(files, Count.Start(o, url))
	}
	total := Totals{Failed: map[string]string{}}
	progress := Progress{Of: len(urls)}
	for i, file := range reprise.AsCompleted(o, files...) { // in an order that is the same on replay
		if file.Err != nil {
			total.Failed[urls[i]] = file.Err.Error()
		} else {
			total.Files++
			total.Lines += file.Value.Lines
			total.Words += file.Value.Words
		}
		progress.Done++
		if err := o.SetCustomStatus(progress); err != nil {
			return total, err
		}
	}
	return total, nil
}

// count says by its errors what is worth another attempt.
func count(ctx context.Context, url string) (Counts, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Counts{}, reprise.NonRetryable(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Counts{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return Counts{}, err
	case resp.StatusCode == http.StatusNotFound:
		return Counts{}, reprise.NonRetryable(ErrNoFile)
	case resp.StatusCode != http.StatusOK:
		return Counts{}, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	return countText(text), nil
}

func countText(text []byte) Counts {
	return Counts{Lines: bytes.Count(text, []byte("\n")), Words: len(bytes.Fields(text))}
}

func bind(r *reprise.Registry, _ outside.World) {
	reprise.Bind(r, CountAll, countAll)
	reprise.Bind(r, Count, count)
}

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return err
		}
		site := local.Serve(http.FileServer(http.Dir(dir)))
		urls := []string{site + "/missing.go"}
		for _, file := range files {
			urls = append(urls, site+"/"+filepath.Base(file))
		}
		h, err := client.Run(ctx, c, CountAll, urls)
		if err != nil {
			return err
		}
		total, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%d files, %d lines, %d words\n", total.Files, total.Lines, total.Words)
		for url, why := range total.Failed {
			fmt.Printf("not counted: %s: %s\n", url, why)
		}
		return nil
	})
}
