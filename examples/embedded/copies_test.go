package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/internal/freeaddr"
)

// service is a copy of the program.
type service struct {
	name, http string
	args       []string
	log        string

	cmd   *exec.Cmd
	stdin io.Closer
}

func threeCopies(t *testing.T, payments string) []*service {
	t.Helper()
	address := func() string {
		addr, err := freeaddr.Loopback()
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	dir := t.ArtifactDir()
	gossip := []string{address(), address(), address()}
	var copies []*service
	for i := range gossip {
		c := &service{name: fmt.Sprintf("n%d", i+1), http: address()}
		c.log = filepath.Join(dir, c.name+".log")
		c.args = []string{"-name", c.name, "-data", filepath.Join(dir, c.name), "-http", c.http, "-api", address(), "-peer", address(),
			"-gossip", gossip[i], "-join", strings.Join(gossip, ","), "-payments", payments}
		copies = append(copies, c)
	}
	ready := make([]func(), len(copies))
	for i, c := range copies {
		ready[i] = c.launch(t)
	}
	for _, wait := range ready {
		wait()
	}
	return copies
}

func (c *service) start(t *testing.T) {
	t.Helper()
	c.launch(t)()
}

// launch starts the process and returns what waits until it takes orders.
func (c *service) launch(t *testing.T) func() {
	t.Helper()
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.cmd = exec.Command(os.Args[0], c.args...)
	c.cmd.Env = append(os.Environ(), program+"=1")
	c.cmd.Stderr = log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.end(t, syscall.SIGKILL) })
	return func() {
		t.Helper()
		line, err := bufio.NewReader(out).ReadString('\n') // or the process ends
		if err != nil {
			text, _ := os.ReadFile(c.log)
			t.Fatalf("%s does not take orders: %v\n%s", c.name, err, text)
		}
		if want := fmt.Sprintf("orders: %s takes orders on http://%s\n", c.name, c.http); line != want {
			t.Fatalf("it says %q, want %q", line, want)
		}
	}
}

// end ends the process, if it runs, and returns its exit code.
func (c *service) end(t *testing.T, how syscall.Signal) int {
	t.Helper()
	if c.cmd == nil {
		return 0
	}
	if err := c.cmd.Process.Signal(how); err != nil {
		t.Errorf("end %s: %v", c.name, err)
	}
	_ = c.cmd.Wait() // the exit code tells
	code := c.cmd.ProcessState.ExitCode()
	c.cmd = nil
	c.stdin.Close()
	return code
}

func (c *service) post(t *testing.T, path string, what, into any) int {
	t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return c.do(t, http.MethodPost, path, body, into)
}

func (c *service) get(t *testing.T, path string, into any) int {
	t.Helper()
	return c.do(t, http.MethodGet, path, nil, into)
}

func (c *service) do(t *testing.T, method, path string, body []byte, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(exampletest.Context(t), method, "http://"+c.http+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // the next life of the process must not meet this connection
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return resp.StatusCode
}
