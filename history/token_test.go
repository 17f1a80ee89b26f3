package history

import (
	"errors"
	"strings"
	"testing"
)

func TestAttemptTokens(t *testing.T) {
	want := AttemptToken{Hub: DefaultTaskHub, Instance: "order-42", Execution: "0123456789abcdef0123456789abcdef", TaskID: 7, Epoch: 1 << 40, N: 3}
	text := want.String()
	got, err := ParseAttemptToken(text)
	if err != nil || got != want {
		t.Fatalf("%s is %+v, %v; want %+v", text, got, err, want)
	}
	for _, bad := range []string{
		"", "at1-", "order-42", text[:len(text)-1], text + "A", strings.ToUpper(text[:10]) + text[10:], "at1-" + text, strings.Repeat(text, 20),
	} {
		if _, err := ParseAttemptToken(bad); !errors.Is(err, ErrToken) {
			t.Errorf("%.40q is a token: %v", bad, err)
		}
	}
	longest := AttemptToken{
		Hub: TaskHub(strings.Repeat("h", MaxTaskHubBytes)), Instance: InstanceID(strings.Repeat("i", MaxInstanceIDBytes)),
		Execution: "0123456789abcdef0123456789abcdef", TaskID: 1 << 30, Epoch: 1 << 62, N: 1 << 62,
	}
	if text := longest.String(); len(text) > MaxTokenBytes {
		t.Errorf("the longest token has %d bytes", len(text))
	}
}

func FuzzParseAttemptToken(f *testing.F) {
	f.Add(AttemptToken{Hub: "h", Instance: "i"}.String())
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseAttemptToken(text)
		if err != nil {
			return
		}
		if again, err := ParseAttemptToken(token.String()); err != nil || again != token {
			t.Errorf("%+v became %+v, %v", token, again, err)
		}
	})
}
