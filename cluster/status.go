package cluster

import (
	"context"
	"errors"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// Code is the number by which an error crosses from node to node. Numbers are
// never reused.
type Code uint8

// CodeOK is no error, CodeOther an error that nobody decides on.
const (
	CodeOK    Code = 0
	CodeOther Code = 1
)

// codes is the table of errors that keep their identity. Those that carry more
// than a text have further codes, in rpc.go.
var codes = []struct {
	code Code
	err  error
}{
	{2, leader.ErrNotLeading},
	{3, leader.ErrExists},
	{4, leader.ErrNotFound},
	{5, leader.ErrRequestExpired},
	{6, leader.ErrOverloaded},
	{7, leader.ErrTooLarge},
	{8, leader.ErrInvalid},
	{21, leader.ErrNoLocal}, // before what it is, too
	{9, leader.ErrUnbound},
	{10, leader.ErrStale},
	{11, errNotHere},
	{12, ErrUnavailable},
	{13, ErrOtherCluster},
	{14, errNotReady},
	{15, context.DeadlineExceeded},
	{16, context.Canceled},
	{17, ErrNewerFormat},
	{18, peer.ErrUnreachable},
	{19, leader.ErrFull},
	{20, leader.ErrNoHandler},
}

var (
	// errNotHere: the request came to a node that does not lead the partition, and
	// nothing was done. A redirectError comes with it where the leader is known.
	errNotHere = errors.New("partition is not led here")
	// errNotReady: the node does not know the layout yet, and nothing was done.
	errNotReady = errors.New("node does not belong to a cluster yet")
)

// CodeOf returns the code of the first error of the table that err is.
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return CodeOther
}

// FromCode returns an error with the text that is the table's error of the code,
// as errors.Is sees it; nil for CodeOK.
func FromCode(code Code, text string) error {
	if code == CodeOK {
		return nil
	}
	for _, c := range codes {
		if c.code == code {
			return &codedError{text: text, is: c.err}
		}
	}
	return errors.New(text)
}

// codedError is an error of another node.
type codedError struct {
	text string
	is   error
}

func (e *codedError) Error() string { return e.text }
func (e *codedError) Unwrap() error { return e.is }

// redirectError is errNotHere with the node that leads, as far as known.
type redirectError struct{ to peer.NodeID }

func (e *redirectError) Error() string { return errNotHere.Error() + "; ask " + string(e.to) }
func (e *redirectError) Unwrap() error { return errNotHere }
