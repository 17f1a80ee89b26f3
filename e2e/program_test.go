package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-run/reprise/internal/freeaddr"
)

// limit bounds what a test waits for; nothing is judged by it.
const limit = time.Minute

// built is where the program under test is; removeProgram removes it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of the reprise program, which is built once.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "reprise-e2e-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(built.dir, "reprise"), "../cmd/reprise")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the program: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "reprise")
}

func removeProgram() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // a temporary directory
	}
}

// environment is this process's without settings of reprise, and with more.
func environment(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "REPRISE_") {
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// outcome is what a command left.
type outcome struct {
	args           string
	code           int
	stdout, stderr string
}

// command runs the program to its end, with an environment of its own.
type command struct {
	env   []string
	stdin io.Reader
}

func (c command) run(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Env = environment(c.env...)
	cmd.Stdin = c.stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit code tells
	if ctx.Err() != nil {
		t.Fatalf("reprise %s: it did not end\n%s", strings.Join(args, " "), &stderr)
	}
	return outcome{strings.Join(args, " "), cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want checks the exit code, all of standard output, and that standard error has
// each text.
func (o outcome) want(t *testing.T, code int, stdout string, stderr ...string) {
	t.Helper()
	if o.code != code || o.stdout != stdout {
		t.Errorf("reprise %.200s\nexit code %d, want %d\nstdout %.500q, want %.500q\nstderr %.2000s", o.args, o.code, code, o.stdout, stdout, o.stderr)
	}
	o.says(t, stderr...)
}

// says checks that standard error has each text.
func (o outcome) says(t *testing.T, stderr ...string) {
	t.Helper()
	for _, text := range stderr {
		if !strings.Contains(o.stderr, text) {
			t.Errorf("reprise %.200s\nstderr %.2000s\nwant in it: %s", o.args, o.stderr, text)
		}
	}
}

// node is a "reprise server" process and its place on this machine.
type node struct {
	name, dir         string
	api, peer, gossip string
	more              []string // further arguments
	env               []string

	cmd    *exec.Cmd
	first  chan string   // gets the line that says that it serves
	ended  chan struct{} // closed once the process is reaped
	stdout string        // all of it; read after ended
	stderr *journal
}

// newNode chooses addresses and a directory; it starts nothing.
func newNode(t *testing.T, name string, more ...string) *node {
	t.Helper()
	n := &node{name: name, dir: filepath.Join(t.TempDir(), name), more: more}
	for _, addr := range []*string{&n.api, &n.peer, &n.gossip} {
		var err error
		if *addr, err = freeaddr.Loopback(); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// args is the command line of the node.
func (n *node) args() []string {
	return append([]string{"server", "--name", n.name, "--data-dir", n.dir,
		"--api-addr", n.api, "--peer-addr", n.peer, "--gossip-addr", n.gossip}, n.more...)
}

// launch starts the process. It ends at the latest with the test.
func (n *node) launch(t *testing.T) {
	t.Helper()
	n.spawn(t, n.args()...)
}

func (n *node) spawn(t *testing.T, args ...string) {
	t.Helper()
	n.cmd = exec.Command(program(t), args...)
	n.cmd.Env = environment(append(n.env, "REPRISE_ATTACHED=true")...) // it ends with this process, too
	n.stderr = &journal{}
	n.cmd.Stderr = n.stderr
	if _, err := n.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, ended, cmd := make(chan string, 1), make(chan struct{}), n.cmd
	n.first, n.ended, n.stdout = first, ended, ""
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stdout)
		var all strings.Builder
		for lines.Scan() {
			fmt.Fprintln(&all, lines.Text())
			select {
			case first <- lines.Text():
			default:
			}
		}
		n.stdout = all.String()
		_ = cmd.Wait() // the exit code tells
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("%s: the end of what it logged:\n%s", n.name, n.stderr.tail())
		}
	})
}

// ready waits until the node serves.
func (n *node) ready(t *testing.T) {
	t.Helper()
	select {
	case line := <-n.first:
		if want := fmt.Sprintf("reprise: node %s serves on %s", n.name, n.api); line != want {
			t.Fatalf("the node says %q, want %q", line, want)
		}
	case <-n.ended:
		t.Fatalf("node %s ended with code %d\n%s", n.name, n.cmd.ProcessState.ExitCode(), n.stderr.tail())
	case <-time.After(limit):
		t.Fatalf("node %s does not serve\n%s", n.name, n.stderr.tail())
	}
}

// start starts the node and waits until it serves.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.launch(t)
	n.ready(t)
}

// stop sends SIGTERM and wants a clean end.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := n.end(t); code != 0 {
		t.Errorf("node %s: exit code %d after SIGTERM, want 0\n%s", n.name, code, n.stderr.tail())
	}
}

// kill ends the process as kill -9 does.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	n.end(t)
}

// end waits for the end of the process and returns its exit code.
func (n *node) end(t *testing.T) int {
	t.Helper()
	select {
	case <-n.ended:
		return n.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("node %s does not end\n%s", n.name, n.stderr.tail())
		return 0
	}
}

// client is a command that asks this node.
func (n *node) client() command { return command{env: []string{"REPRISE_ADDRESS=" + n.api}} }

// refused starts the node's command line and wants it to end at once.
func (n *node) refused(t *testing.T, code int, stderr ...string) {
	t.Helper()
	command{env: n.env}.run(t, n.args()...).want(t, code, "", stderr...)
}

// ask runs a command with -o json and reads its answer.
func ask[T any](t *testing.T, c command, args ...string) (answer T) {
	t.Helper()
	o := c.run(t, append(args, "-o", "json")...)
	if o.code != 0 {
		t.Fatalf("reprise %s: exit code %d\n%s", o.args, o.code, o.stderr)
	}
	if err := json.Unmarshal([]byte(o.stdout), &answer); err != nil {
		t.Fatalf("reprise %s: %v\n%s", o.args, err, o.stdout)
	}
	return answer
}

// eventually asks again and again, because only asking shows what a process does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for pause := 20 * time.Millisecond; !done(); pause = min(2*pause, 500*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(pause)
	}
}

// journal keeps what a process writes. It is safe for concurrent use.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String returns all that was written.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// tail returns the last lines.
func (j *journal) tail() string {
	text := j.String()
	return text[max(0, len(text)-3000):]
}
