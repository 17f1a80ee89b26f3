package raftlog

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFS watches the files of the stores: it counts fsyncs and makes a failed or
// stalled write fatal. A failed fsync is never tried again, because the kernel
// may have dropped the pages that it could not write.
type diskFS struct {
	vfs.FS
	stall  time.Duration
	fatal  func(error)
	fsyncs atomic.Uint64
	// timed, if it is set, hears how long each fsync took.
	timed func(time.Duration)
	// late counts the operations that take long, and are not fatal yet.
	late atomic.Int64
}

// lateShare is which part of the time until a disk counts as stalled an operation may
// take before it is late.
const lateShare = 4

// The states of an operation.
const (
	operationRuns int32 = iota
	operationLate
	operationOver
)

// watch runs one write operation.
func (fs *diskFS) watch(what, name string, op func() error) error {
	var state atomic.Int32
	timer := time.AfterFunc(fs.stall/lateShare, func() {
		if !state.CompareAndSwap(operationRuns, operationLate) {
			return
		}
		fs.late.Add(1)
		time.AfterFunc(fs.stall-fs.stall/lateShare, func() {
			if state.Load() == operationLate {
				fs.fatal(fmt.Errorf("disk stalled: %s of %s has taken %s", what, name, fs.stall))
			}
		})
	})
	err := op()
	timer.Stop()
	if state.Swap(operationOver) == operationLate {
		fs.late.Add(-1)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", what, name, err)
		fs.fatal(err)
	}
	return err
}

// fsync runs one fsync.
func (fs *diskFS) fsync(name string, op func() error) error {
	fs.fsyncs.Add(1)
	if fs.timed == nil {
		return fs.watch("fsync", name, op)
	}
	began := time.Now()
	err := fs.watch("fsync", name, op)
	fs.timed(time.Since(began))
	return err
}

func (fs *diskFS) wrap(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, fs: fs, name: name}, nil
}

// Create implements [vfs.FS].
func (fs *diskFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.wrap(f, name, err)
}

// OpenReadWrite implements [vfs.FS].
func (fs *diskFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, category, opts...)
	return fs.wrap(f, name, err)
}

// ReuseForWrite implements [vfs.FS].
func (fs *diskFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return fs.wrap(f, newname, err)
}

// OpenDir implements [vfs.FS].
func (fs *diskFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.wrap(f, name, err)
}

// Unwrap implements [vfs.FS].
func (fs *diskFS) Unwrap() vfs.FS { return fs.FS }

type diskFile struct {
	vfs.File
	fs   *diskFS
	name string
}

// Write implements [vfs.File].
func (f *diskFile) Write(p []byte) (n int, err error) {
	err = f.fs.watch("write", f.name, func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

// WriteAt implements [vfs.File].
func (f *diskFile) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.fs.watch("write", f.name, func() error {
		n, err = f.File.WriteAt(p, offset)
		return err
	})
	return n, err
}

// Sync implements [vfs.File].
func (f *diskFile) Sync() error {
	return f.fs.fsync(f.name, f.File.Sync)
}

// SyncData implements [vfs.File].
func (f *diskFile) SyncData() error {
	return f.fs.fsync(f.name, f.File.SyncData)
}

// SyncTo implements [vfs.File].
func (f *diskFile) SyncTo(length int64) (fullSync bool, err error) {
	err = f.fs.watch("fsync", f.name, func() error {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	if fullSync {
		f.fs.fsyncs.Add(1)
	}
	return fullSync, err
}
