package outside

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/reprise-run/reprise"
)

// World is where the outside is, and who asks it.
type World struct {
	URL  string
	Node string
}

// Post asks the outside to do something, for example "/charges" with an amount. It
// returns the number that the outside gave it, the same however often an activity
// asks. Only activities may call it.
func (w World) Post(ctx context.Context, path string, what any) (int, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Idempotency-Key", reprise.Attempt(ctx).Key) // the same on every attempt
	req.Header.Set("User-Agent", w.Node)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(answer))
	}
	var number int
	return number, json.Unmarshal(answer, &number)
}
