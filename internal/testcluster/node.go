package testcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Node is one node's process, or the place of one that was killed.
type Node struct {
	spec Spec
	env  []string

	mu      sync.Mutex // guards the field below
	running *process   // nil when the process was ended by us
}

// process is one life of a node.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	stdin io.Closer
	ended chan struct{} // closed once the process is reaped
	err   error         // how it ended; set before ended is closed
}

// Name returns the node's name.
func (n *Node) Name() string { return n.spec.Name }

// APIAddr returns where the node takes requests.
func (n *Node) APIAddr() string { return n.spec.APIAddr }

// Dir returns the node's directory.
func (n *Node) Dir() string { return n.spec.Dir }

// logFile is where the output of all lives of the node goes.
func (n *Node) logFile() string { return n.spec.Dir + ".log" }

// Start starts a node that was killed or stopped, on its old directory and
// addresses, and returns when its control port answers.
func (n *Node) Start(ctx context.Context) error {
	if err := n.launch(); err != nil {
		return err
	}
	return n.serving(ctx)
}

func (n *Node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		return fmt.Errorf("start node %s: it runs already", n.Name())
	}
	spec, err := json.Marshal(n.spec)
	if err != nil {
		return fmt.Errorf("start node %s: %w", n.Name(), err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start node %s: %w", n.Name(), err)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start node %s: %w", n.Name(), err)
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), n.env...), variable+"="+string(spec))
	cmd.Dir = filepath.Dir(n.spec.Dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start node %s: %w", n.Name(), err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node %s: %w", n.Name(), err)
	}
	p := &process{cmd: cmd, began: time.Now(), stdin: stdin, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	n.running = p
	return nil
}

// serving waits until the control port answers.
func (n *Node) serving(ctx context.Context) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if err := n.died(); err != nil {
			return err
		}
		if _, err := n.get(ctx, "/serving"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for node %s to serve: %w\n%s", n.Name(), ctx.Err(), n.logTail())
		case <-ticker.C:
		}
	}
}

// Kill ends the process without warning (SIGKILL) and waits for its end. It does
// nothing where none runs.
func (n *Node) Kill() error { return n.end(syscall.SIGKILL) }

// Stop ends the process in good order (SIGTERM) and waits for its end.
func (n *Node) Stop() error { return n.end(syscall.SIGTERM) }

func (n *Node) end(sig syscall.Signal) error {
	n.mu.Lock()
	p := n.running
	n.running = nil
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.cmd.Process.Signal(sig)
	<-p.ended
	p.stdin.Close()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end node %s: %w", n.Name(), err)
	}
	if sig == syscall.SIGTERM && p.err != nil {
		return fmt.Errorf("stop node %s: %w\n%s", n.Name(), p.err, n.logTail())
	}
	return nil
}

// Signal sends a signal to the process, for example SIGSTOP and SIGCONT.
func (n *Node) Signal(sig syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running == nil {
		return fmt.Errorf("signal node %s: it does not run", n.Name())
	}
	if err := n.running.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal node %s: %w", n.Name(), err)
	}
	return nil
}

// Running reports whether the process was started and not ended by us.
func (n *Node) Running() bool { return n.pid() != 0 }

// began returns when the process that runs was started.
func (n *Node) began() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running == nil {
		return time.Time{}
	}
	return n.running.began
}

func (n *Node) pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running == nil {
		return 0
	}
	return n.running.cmd.Process.Pid
}

// died returns an error if the process ended by itself.
func (n *Node) died() error {
	n.mu.Lock()
	p := n.running
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.ended:
		return fmt.Errorf("node %s ended by itself: %v\n%s", n.Name(), p.err, n.logTail())
	default:
		return nil
	}
}

// Report asks the process for its report; see [Serve].
func (n *Node) Report(ctx context.Context, into any) error {
	body, err := n.get(ctx, "/report")
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("report of node %s: %w", n.Name(), err)
	}
	return nil
}

// Post sends a body to a handler that the role gave to [Serve].
func (n *Node) Post(ctx context.Context, path string, body []byte) ([]byte, error) {
	return n.do(ctx, http.MethodPost, path, body)
}

// Profile records a CPU profile of the process for so long and writes it to a
// file.
func (n *Node) Profile(ctx context.Context, d time.Duration, file string) error {
	return n.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(d.Seconds()))), file)
}

// Goroutines writes the stacks of all goroutines of the process to a file.
func (n *Node) Goroutines(ctx context.Context, file string) error {
	return n.save(ctx, "/debug/pprof/goroutine?debug=2", file)
}

func (n *Node) save(ctx context.Context, path, file string) error {
	body, err := n.get(ctx, path)
	if err == nil {
		err = os.WriteFile(file, body, 0o644)
	}
	if err != nil {
		return fmt.Errorf("save %s of node %s: %w", path, n.Name(), err)
	}
	return nil
}

func (n *Node) get(ctx context.Context, path string) ([]byte, error) {
	return n.do(ctx, http.MethodGet, path, nil)
}

func (n *Node) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.spec.ControlAddr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Close = true // the next life of the node must not meet this connection
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(answer))
	}
	return answer, nil
}

// logTail returns the end of the node's log, for error messages.
func (n *Node) logTail() string {
	const most = 4 << 10
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	if len(b) > most {
		b = b[len(b)-most:]
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return string(b)
}
