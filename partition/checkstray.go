package partition

import "encoding/binary"

// Rows that nobody looks at where their instance, or its execution, is gone: the checks
// of an instance begin with its record, so these are found by their own tables. Of a row
// in pieces only the first one counts; see unfinished for the others.

func firstPiece(key []byte) bool { return binary.BigEndian.Uint16(key[len(key)-2:]) == 0 }

func (c *checker) episode(key, _ []byte) error {
	a, rest, err := ParseAddress(key)
	if err != nil || !firstPiece(key) {
		return err
	}
	execution, _, err := cut(rest)
	if err == nil {
		c.of(a).histories[execution] = true
	}
	return err
}

func (c *checker) stored(key, _ []byte) error {
	a, _, err := ParseAddress(key)
	if err == nil && firstPiece(key) {
		c.of(a)
	}
	return err
}

func (c *checker) customStatus(key, _ []byte) error {
	a, _, err := ParseAddress(key)
	if err == nil {
		c.of(a).status = true
	}
	return err
}

// checkStray looks for what executions before this one have left.
func checkStray(in *checked, bad func(string, ...any)) {
	for e := range in.histories {
		if e != string(in.record.Execution) {
			bad("has history of execution %s, which is gone", e)
		}
	}
	if in.status != (in.record.CustomStatus != 0) {
		bad("has a custom status: %t, the record says %t", in.status, in.record.CustomStatus != 0)
	}
}

// replyPiece reports whether a key of the table of updates is that of a piece of a reply.
func replyPiece(key []byte) bool {
	_, rest, err := parseAddress(binary.BigEndian.Uint32(key), key[tableHeader+8:])
	if err != nil {
		return false
	}
	_, kind, err := cut(rest)
	return err == nil && len(kind) > 0
}
