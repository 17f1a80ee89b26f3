package durablehttp

import (
	"encoding/json"
	"unicode/utf8"
)

// Body is the body of a request or a response. In JSON, and so in a history, text
// stands as text and other bytes as {"base64": …}.
type Body []byte

type binaryBody struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (b Body) MarshalJSON() ([]byte, error) {
	switch {
	case b == nil:
		return []byte("null"), nil
	case readable(b):
		return json.Marshal(string(b))
	}
	return json.Marshal(binaryBody{b})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Body) UnmarshalJSON(data []byte) error {
	var text *string
	if json.Unmarshal(data, &text) == nil {
		*b = nil
		if text != nil {
			*b = Body(*text)
		}
		return nil
	}
	var binary binaryBody
	err := json.Unmarshal(data, &binary)
	*b = binary.Base64
	return err
}

// smallEscapes is how much longer than base64 a text may be to stay readable.
const smallEscapes = 4 << 10

// readable reports whether b is text that JSON makes no longer than base64 would, or
// not much.
func readable(b []byte) bool {
	escaped := 0
	for _, c := range b {
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			escaped++
		case c < ' ' || c == '<' || c == '>' || c == '&':
			escaped += 5
		}
	}
	return escaped <= max(len(b)/3, smallEscapes) && utf8.Valid(b)
}
