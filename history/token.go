package history

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/reprise-run/reprise/internal/pack"
)

// AttemptToken names one attempt of an activity for whoever completes it from
// outside. It does not depend on where the instance lives.
type AttemptToken struct {
	Hub       TaskHub
	Instance  InstanceID
	Execution ExecutionID
	TaskID    int32
	// Epoch and N are the attempt's fence.
	Epoch, N uint64
}

// MaxTokenBytes is longer than any token.
const MaxTokenBytes = 1024

// ErrToken says that a text is no token of an attempt.
var ErrToken = errors.New("not a token of an activity's attempt")

const tokenPrefix = "at1-"

// String returns the token as text: letters, digits, - and _. A checksum tells a
// text that was cut or mistyped.
func (t AttemptToken) String() string {
	w := pack.NewWriter(64+len(t.Hub)+len(t.Instance), 6)
	w.String(string(t.Hub))
	w.String(string(t.Instance))
	w.String(string(t.Execution))
	w.Int(int64(t.TaskID))
	w.Int(int64(t.Epoch))
	w.Int(int64(t.N))
	raw := w.Bytes()
	sum := crc32.ChecksumIEEE(raw)
	raw = append(raw, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
}

// ParseAttemptToken is the inverse of [AttemptToken.String]. The error is
// [ErrToken], or an *[InvalidIDError].
func ParseAttemptToken(text string) (AttemptToken, error) {
	var t AttemptToken
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > MaxTokenBytes {
		return t, fmt.Errorf("%w: %.32q", ErrToken, text)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(raw) < 4 {
		return t, fmt.Errorf("%w: %.32q…", ErrToken, text)
	}
	raw, tail := raw[:len(raw)-4], raw[len(raw)-4:]
	if sum := crc32.ChecksumIEEE(raw); string(tail) != string([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}) {
		return t, fmt.Errorf("%w: %.32q… is incomplete or mistyped", ErrToken, text)
	}
	r := pack.NewReader(raw)
	for i := 0; r.Next(); i++ {
		switch i {
		case 0:
			t.Hub = TaskHub(r.String())
		case 1:
			t.Instance = InstanceID(r.String())
		case 2:
			t.Execution = ExecutionID(r.String())
		case 3:
			t.TaskID = int32(r.Int())
		case 4:
			t.Epoch = uint64(r.Int())
		case 5:
			t.N = uint64(r.Int())
		default:
			r.Skip() // of a newer writer
		}
	}
	if r.Err() != nil {
		return t, fmt.Errorf("%w: %w", ErrToken, r.Err())
	}
	if err := ValidateTaskHub(t.Hub); err != nil {
		return t, err
	}
	return t, ValidateOrchestrationID(t.Instance)
}
