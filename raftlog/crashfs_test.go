package raftlog

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// countingFS calls at before each operation that changes the disk, with its
// number. A test crashes the node at one of them.
type countingFS struct {
	vfs.FS
	ops atomic.Int64
	at  func(n int64)
}

func (fs *countingFS) op() {
	n := fs.ops.Add(1)
	if fs.at != nil {
		fs.at(n)
	}
}

func (fs *countingFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &countingFile{f, fs}, nil
}

func (fs *countingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.op()
	return fs.wrap(fs.FS.Create(name, c))
}

func (fs *countingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.wrap(fs.FS.OpenReadWrite(name, c, o...))
}

func (fs *countingFS) OpenDir(name string) (vfs.File, error) { return fs.wrap(fs.FS.OpenDir(name)) }

func (fs *countingFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.op()
	return fs.wrap(fs.FS.ReuseForWrite(old, name, c))
}

func (fs *countingFS) Rename(old, name string) error { fs.op(); return fs.FS.Rename(old, name) }
func (fs *countingFS) Link(old, name string) error   { fs.op(); return fs.FS.Link(old, name) }
func (fs *countingFS) Remove(name string) error      { fs.op(); return fs.FS.Remove(name) }
func (fs *countingFS) Unwrap() vfs.FS                { return fs.FS }

type countingFile struct {
	vfs.File
	fs *countingFS
}

func (f *countingFile) Write(p []byte) (int, error) { f.fs.op(); return f.File.Write(p) }
func (f *countingFile) WriteAt(p []byte, at int64) (int, error) {
	f.fs.op()
	return f.File.WriteAt(p, at)
}
func (f *countingFile) Sync() error     { f.fs.op(); return f.File.Sync() }
func (f *countingFile) SyncData() error { f.fs.op(); return f.File.SyncData() }
func (f *countingFile) SyncTo(n int64) (bool, error) {
	f.fs.op()
	return f.File.SyncTo(n)
}
