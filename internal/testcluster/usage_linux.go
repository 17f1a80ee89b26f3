package testcluster

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is USER_HZ, in which /proc/PID/stat counts. It is 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// File systems in memory, by the magic numbers of statfs(2).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458f6
)

func usageOf(pid int) (Usage, error) {
	var u Usage
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, fmt.Errorf("read usage: %w", err)
	}
	// The second field is the program's name in parentheses and may hold spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("read usage: %sstat has %d fields", dir, len(fields))
	}
	for _, field := range fields[11:13] { // utime, stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read usage: %w", err)
		}
		u.CPU += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	kib, err := numberIn(dir+"status", "VmHWM:")
	if err != nil {
		return u, err
	}
	u.PeakRSSBytes = kib << 10
	u.WrittenBytes, err = numberIn(dir+"io", "write_bytes:")
	return u, err
}

// numberIn returns the number behind a label at the beginning of a line.
func numberIn(file, label string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read usage: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("read usage: %s has no %s", file, label)
}

func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak: %w", err)
	}
	return nil
}

// OnDisk reports whether files of a directory are on a disk, as far as is known,
// rather than in memory.
func OnDisk(dir string) bool {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return true
	}
	return s.Type != tmpfsMagic && s.Type != ramfsMagic
}
