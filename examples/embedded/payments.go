package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/reprise-run/reprise"
)

// payments is the way to the card company. Without a URL, payments are only logged.
type payments struct{ url string }

// post asks the card company for something and returns its number.
func (p payments) post(ctx context.Context, path string, what any) (number int, err error) {
	body, err := json.Marshal(what)
	if err != nil {
		return 0, reprise.NonRetryable(err)
	}
	// An activity may run more than once, because a node may die before its outcome
	// is recorded. The key is the same each time, so the card company acts once.
	key := reprise.Attempt(ctx).Key
	if p.url == "" {
		slog.Info("payment", "what", path, "body", string(body), "key", key)
		return 1, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, reprise.NonRetryable(err)
	}
	req.Header.Set("Idempotency-Key", key)
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
	return number, json.Unmarshal(answer, &number)
}
