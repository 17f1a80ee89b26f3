package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reprise-run/reprise/embedded"
	"github.com/reprise-run/reprise/internal/freeaddr"
)

// nodeProcess is a node that runs as a child process of this one: this program
// again, as "reprise server". It stops when this process is gone, however that
// happens, because its standard input ends then.
type nodeProcess struct {
	name, api string
	args      []string

	cmd   *exec.Cmd
	stdin io.Closer
	// serving is closed when the node printed its line.
	serving chan struct{}
	// ended is closed when the process has ended; err is set before.
	ended chan struct{}
	err   error
}

// nodeAddresses are where a node listens.
type nodeAddresses struct{ api, peer, gossip string }

// freeAddresses finds addresses for nodes on loopback.
func freeAddresses(nodes int) ([]nodeAddresses, error) {
	all := make([]nodeAddresses, nodes)
	for i := range all {
		for _, a := range []*string{&all[i].api, &all[i].peer, &all[i].gossip} {
			var err error
			if *a, err = freeaddr.Loopback(); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// newNodeProcess describes a node; it does not start it.
func newNodeProcess(name, dir string, at nodeAddresses, more ...string) *nodeProcess {
	return &nodeProcess{name: name, api: at.api, args: append([]string{
		"server", "--attached", "--samples", "--name", name, "--data-dir", dir,
		"--api-addr", at.api, "--peer-addr", at.peer, "--gossip-addr", at.gossip,
	}, more...)}
}

// start starts the process; its log goes to log, which it shares with nobody who
// does not lock.
func (n *nodeProcess) start(log io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	n.cmd = exec.Command(self, n.args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "REPRISE_") { // a node's settings are its arguments
			n.cmd.Env = append(n.cmd.Env, v)
		}
	}
	n.cmd.Stderr = log
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start node %s: %w", n.name, err)
	}
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("start node %s: %w", n.name, err)
	}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start node %s: %w", n.name, err)
	}
	n.serving, n.ended = make(chan struct{}), make(chan struct{})
	serving, ended := n.serving, n.ended
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stdout)
		for first := true; lines.Scan(); first = false {
			fmt.Fprintln(log, lines.Text())
			if first {
				close(serving)
			}
		}
		n.err = n.cmd.Wait()
	}()
	return nil
}

// ready waits until the node serves.
func (n *nodeProcess) ready(ctx context.Context) error {
	select {
	case <-n.serving:
		return nil
	case <-n.ended:
		return fmt.Errorf("node %s ended, its log says why: %w", n.name, orEnd(n.err))
	case <-ctx.Done():
		return fmt.Errorf("node %s does not serve yet: %w", n.name, context.Cause(ctx))
	}
}

// kill ends the process at once, as kill -9 does, and waits for its end.
func (n *nodeProcess) kill() error {
	if err := n.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill node %s: %w", n.name, err)
	}
	<-n.ended
	return nil
}

// stopAll stops the nodes in good order, all at once, and waits for their ends;
// whoever takes too long is killed.
func stopAll(nodes []*nodeProcess) {
	var all sync.WaitGroup
	for _, n := range nodes {
		if n.cmd == nil || n.cmd.Process == nil {
			continue
		}
		all.Go(func() {
			if n.cmd.Process.Signal(syscall.SIGTERM) != nil {
				_ = n.stdin.Close() // where there are no signals; it may have ended already
			}
			patience := time.NewTimer(embedded.StopPatience + 5*time.Second)
			defer patience.Stop()
			select {
			case <-n.ended:
			case <-patience.C:
				_ = n.kill() // it may have ended meanwhile
			}
		})
	}
	all.Wait()
}

// prefixed writes whole lines with a prefix; several of them share out, which mu
// guards.
type prefixed struct {
	mu     *sync.Mutex
	out    io.Writer
	prefix string
	rest   []byte
}

func (w *prefixed) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := strings.Cut(string(w.rest), "\n")
		if !found {
			return len(p), nil
		}
		w.rest = []byte(rest)
		if _, err := fmt.Fprintf(w.out, "%s%s\n", w.prefix, line); err != nil {
			return 0, err
		}
	}
}
