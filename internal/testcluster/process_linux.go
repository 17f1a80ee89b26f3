package testcluster

import "syscall"

// childAttributes puts a node in a process group of its own, so that Ctrl-C
// reaches only the parent, and has the kernel kill it when the parent's thread
// goes. That also ends a node that is stopped by SIGSTOP.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
