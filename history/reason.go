package history

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxReasonBytes bounds the reason of a cancellation.
const MaxReasonBytes = 1024

// ValidateReason reports why a text cannot be the reason of a cancellation.
func ValidateReason(reason string) error {
	switch {
	case len(reason) > MaxReasonBytes:
		return fmt.Errorf("the reason has %d bytes; at most %d are allowed", len(reason), MaxReasonBytes)
	case !utf8.ValidString(reason):
		return fmt.Errorf("the reason %q is not UTF-8", reason)
	}
	return nil
}

// BriefReason shortens a reason for the many events that may carry it, and makes it UTF-8:
// it may be the text of an error, and that anything.
func BriefReason(reason string) string {
	const limit = 256
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= limit {
		return reason
	}
	end := limit
	for end > 0 && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end] + "…"
}
