package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/reprise-run/reprise/history"
)

// readInput returns the JSON that --input names: itself, a file (@name), or
// standard input (-). Not given is no input.
func readInput(text string, given bool, stdin io.Reader) (history.Payload, error) {
	if !given {
		return nil, nil
	}
	data, from := []byte(text), "--input"
	var err error
	switch {
	case text == "-":
		data, err = io.ReadAll(io.LimitReader(stdin, history.MaxPayloadBytes+1))
		from = "standard input"
	case strings.HasPrefix(text, "@"):
		data, err = os.ReadFile(text[1:])
		from = text[1:]
	}
	if err != nil {
		return nil, usage("read the input: %w", err)
	}
	if !json.Valid(data) && len(data) <= history.MaxPayloadBytes {
		return nil, usage("%s is not JSON: %v", from, json.Unmarshal(data, new(any)))
	}
	return data, nil
}

// asJSON returns a payload as JSON: absent and empty are null, and what is not
// JSON is a string.
func asJSON(p history.Payload) json.RawMessage {
	if len(p) == 0 {
		return json.RawMessage("null")
	}
	if json.Valid(p) {
		return json.RawMessage(p)
	}
	text, _ := json.Marshal(string(p)) // a string always has a JSON form
	return text
}
