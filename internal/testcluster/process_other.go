//go:build !linux

package testcluster

import "syscall"

func childAttributes() *syscall.SysProcAttr { return nil }
