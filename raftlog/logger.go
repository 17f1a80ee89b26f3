package raftlog

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// pebbleLogger makes Pebble's fatal errors end the host, and drops its news.
type pebbleLogger struct{ h *Host }

// Infof implements pebble.Logger.
func (l pebbleLogger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	if !l.h.failed() {
		l.h.cfg.Logger.Error("store: " + fmt.Sprintf(format, args...))
	}
}

// Fatalf implements pebble.Logger.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.h.fatal(fmt.Errorf("store: "+format, args...))
}

// raftLogger hands what Raft logs to slog. Raft calls much a warning or an error
// that is everyday life of a cluster, such as a peer that is not there, so all
// of it is one or two levels lower here.
type raftLogger struct {
	hclog.Logger // a null logger, for what Raft does not use
	log          *slog.Logger
}

func newRaftLogger(l *slog.Logger) hclog.Logger {
	return raftLogger{Logger: hclog.NewNullLogger(), log: l}
}

func (l raftLogger) emit(level slog.Level, msg string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "raft: "+msg, args...)
	}
}

// Trace implements hclog.Logger.
func (l raftLogger) Trace(msg string, args ...any) { l.emit(slog.LevelDebug-8, msg, args) }

// Debug implements hclog.Logger.
func (l raftLogger) Debug(msg string, args ...any) { l.emit(slog.LevelDebug-4, msg, args) }

// Info implements hclog.Logger.
func (l raftLogger) Info(msg string, args ...any) { l.emit(slog.LevelDebug, msg, args) }

// Warn implements hclog.Logger.
func (l raftLogger) Warn(msg string, args ...any) { l.emit(slog.LevelDebug, msg, args) }

// Error implements hclog.Logger.
func (l raftLogger) Error(msg string, args ...any) { l.emit(slog.LevelDebug, msg, args) }

// Log implements hclog.Logger.
func (l raftLogger) Log(_ hclog.Level, msg string, args ...any) { l.emit(slog.LevelDebug, msg, args) }

// With implements hclog.Logger.
func (l raftLogger) With(args ...any) hclog.Logger {
	return raftLogger{Logger: l.Logger, log: l.log.With(args...)}
}

// Named implements hclog.Logger.
func (l raftLogger) Named(string) hclog.Logger { return l }

// ResetNamed implements hclog.Logger.
func (l raftLogger) ResetNamed(string) hclog.Logger { return l }

// StandardLogger implements hclog.Logger.
func (l raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(io.Discard, "", 0)
}
