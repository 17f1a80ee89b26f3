//go:build !linux

package testcluster

func usageOf(int) (Usage, error) { return Usage{}, ErrUsageUnknown }

func resetPeak(int) error { return ErrUsageUnknown }

// OnDisk reports whether files of a directory are on a disk, as far as is known,
// rather than in memory.
func OnDisk(string) bool { return true }
