package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// inputFlag adds a flag that gives a command its input, and returns what reads it when
// the command runs. Not given is no input.
func (p *program) inputFlag(cmd *cobra.Command, flag, what string) func() (history.Payload, error) {
	text := cmd.Flags().String(flag, "", what+" as `JSON`, @file, or - for standard input")
	return func() (history.Payload, error) {
		if !cmd.Flags().Changed(flag) {
			return nil, nil
		}
		return readInput(flag, *text, p.stdin)
	}
}

// readInput returns the JSON that a flag names: itself, a file (@name), or standard
// input (-).
func readInput(flag, text string, stdin io.Reader) (history.Payload, error) {
	data, from := []byte(text), "--"+flag
	var err error
	switch {
	case text == "-":
		data, err = io.ReadAll(io.LimitReader(stdin, history.MaxPayloadBytes+1))
		from = "standard input"
	case strings.HasPrefix(text, "@"):
		from = text[1:]
		data, err = readFile(from)
	}
	if err != nil {
		return nil, usage("read the input: %w", err)
	}
	if len(data) > history.MaxPayloadBytes {
		return nil, fmt.Errorf("%s: %w: input has more than %d bytes; put it where the activities can read it, and pass its name",
			from, client.ErrTooLarge, history.MaxPayloadBytes)
	}
	if !json.Valid(data) {
		return nil, usage("%s is not JSON: %v", from, json.Unmarshal(data, new(any)))
	}
	return data, nil
}

// readFile reads a file, and no more of a large one than shows that it is too
// large.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, history.MaxPayloadBytes+1))
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
