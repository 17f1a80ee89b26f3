//go:build !linux

package nodeproc

// calmMonitor does nothing where threads have no timer slack.
func calmMonitor() {}
