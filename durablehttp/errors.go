package durablehttp

import (
	"fmt"
	"net/http"

	"github.com/reprise-run/reprise"
)

// ErrBodyTooLarge says that the body of a response is longer than
// [Config.MaxBodyBytes]. It is not repeated.
var ErrBodyTooLarge = reprise.NewError("reprise.http.body_too_large", "the body of the response is too large")

// RefusedError says that a node does not let the request out, and which setting
// would. It is not repeated.
type RefusedError struct {
	Host   string
	Reason string
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%s is refused: %s", e.Host, e.Reason) }

// ErrorCode implements [reprise.CodedError].
func (*RefusedError) ErrorCode() string { return "reprise.http.refused" }

// NetworkError says that there is no response: the host was not found, the
// connection failed or broke, the credential could not be had, or it took too long,
// in which case errors.Is finds [reprise.ErrTimeout] too. The server may have acted.
type NetworkError struct {
	Host     string
	Reason   string
	TimedOut bool
}

// Error implements error.
func (e *NetworkError) Error() string {
	return fmt.Sprintf("no response from %s: %s", e.Host, e.Reason)
}

// ErrorCode implements [reprise.CodedError].
func (*NetworkError) ErrorCode() string { return "reprise.http.network" }

// Unwrap returns [reprise.ErrTimeout] if it took too long.
func (e *NetworkError) Unwrap() error {
	if e.TimedOut {
		return reprise.ErrTimeout
	}
	return nil
}

// StatusError says that the status is not among those that were expected.
type StatusError struct {
	Status int
	// Body begins as the body of the response does; it is cut at 4 KiB.
	Body Body
}

// Limits of what is told of the body of an unexpected response: what the error
// keeps, and what its text shows.
const (
	maxStatusBody = 4 << 10
	maxStatusText = 200
)

// Error implements error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status))
	if len(e.Body) == 0 {
		return text
	}
	return fmt.Sprintf("%s: %.*q", text, maxStatusText, e.Body[:min(len(e.Body), maxStatusText)])
}

// ErrorCode implements [reprise.CodedError].
func (*StatusError) ErrorCode() string { return "reprise.http.status" }
