package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/history"
)

// Exit codes. Scripts rely on them.
const (
	exitOK          = 0
	exitEnded       = 1 // the orchestration failed, was cancelled or terminated; or the demo did
	exitUsage       = 2
	exitNotFound    = 3
	exitUnreachable = 4
	exitRefused     = 5
	exitTimeout     = 6
	exitStore       = 7
	exitInterrupted = 130 // by a signal, before there was an answer
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitCode is the one table of errors and exit codes; the first that fits holds.
func exitCode(err error) int {
	var wrong *usageError
	var badID *history.InvalidIDError
	var ended *client.EndedError
	if errors.As(err, &wrong) || errors.As(err, &badID) {
		return exitUsage
	}
	if errors.As(err, &ended) { // it may wrap any error of the orchestrator
		return exitEnded
	}
	for _, c := range []struct {
		err  error
		code int
	}{
		{context.Canceled, exitInterrupted},
		{client.ErrNotFound, exitNotFound},
		{client.ErrRefused, exitRefused},
		{client.ErrUnavailable, exitUnreachable}, // whatever the time that it took
		{context.DeadlineExceeded, exitTimeout},
		{cluster.ErrRecoveryRefused, exitRefused},
		{cluster.ErrConfig, exitUsage},
		{cluster.ErrPortInUse, exitUsage},
		{cluster.ErrLocked, exitStore},
		{cluster.ErrNotWritable, exitStore},
		{cluster.ErrNewerFormat, exitStore},
		{cluster.ErrCorrupt, exitStore},
		{cluster.ErrOtherCluster, exitStore},
		{cluster.ErrOtherNode, exitStore},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return exitEnded
}
