//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-run/reprise/internal/freeaddr"
)

// TestUp: "reprise up" runs three nodes, Ctrl-C stops them, and the same directory
// continues.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	dir, port := filepath.Join(t.TempDir(), "cluster"), freePorts(t)
	first := fmt.Sprintf("127.0.0.1:%d", port)
	c := command{env: []string{"REPRISE_ADDRESS=" + first}}

	u := up(t, dir, port)
	for _, line := range []string{
		"node n1 takes requests on " + first,
		fmt.Sprintf("node n2 takes requests on 127.0.0.1:%d", port+10),
		fmt.Sprintf("node n3 takes requests on 127.0.0.1:%d", port+20),
		"Ctrl-C stops the cluster",
	} {
		if !strings.Contains(u.stdout.String(), line) {
			t.Errorf("it does not print %q:\n%s", line, &u.stdout)
		}
	}
	c.run(t, "start", "hello", "--id", "a", "--input", `["Lima"]`, "--wait").want(t, 0, `["Hello, Lima!"]`+"\n")
	c.run(t, "start", "nobody", "--id", "b").want(t, 0, "b\n")
	u.interrupt(t)
	for _, line := range strings.Split(strings.TrimSpace(u.stderr.String()), "\n") {
		if !regexp.MustCompile(`^n[123] \| `).MatchString(line) {
			t.Errorf("a line of the logs has no node's name: %q", line)
		}
	}

	u = up(t, dir, port)
	c.run(t, "wait", "a").want(t, 0, `["Hello, Lima!"]`+"\n")
	if in := ask[instance](t, c, "status", "b"); in.RuntimeStatus != "Pending" {
		t.Errorf("b is %s, want Pending", in.RuntimeStatus)
	}
	// Another one on the same ports says so and ends, and does no harm.
	if o := (command{}).run(t, "up", "--data-dir", dir+"2", "--port", fmt.Sprint(port)); o.code == 0 || !strings.Contains(o.stderr, "address already in use") {
		t.Errorf("up on used ports: exit code %d\n%s", o.code, o.stderr)
	}
	c.run(t, "start", "hello", "--input", `["Cali"]`, "--wait").want(t, 0, `["Hello, Cali!"]`+"\n")

	// A node that is killed is missed by nobody, and comes back.
	process := regexp.MustCompile(`node n2 takes requests on \S+ \(process (\d+)\)`).FindStringSubmatch(u.stdout.String())
	if process == nil {
		t.Fatalf("the process of n2 is not told:\n%s", &u.stdout)
	}
	if pid, err := strconv.Atoi(process[1]); err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Fatalf("kill process %s: %v", process[1], err)
	}
	c.run(t, "start", "hello", "--input", `["Bern"]`, "--wait").want(t, 0, `["Hello, Bern!"]`+"\n")
	eventually(t, "the killed node is back", func() bool {
		return strings.Contains(u.stdout.String(), "node n2 ended: signal: killed") && strings.Contains(u.stdout.String(), "node n2 takes requests again")
	})
	u.interrupt(t)
}

// TestClusterScript: the script that people copy starts three nodes, and stops
// them when it is stopped.
func TestClusterScript(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	const port = 4001
	if !portsFree(port) {
		t.Skipf("NOT TESTED: the ports of the script, from %d on, are in use", port)
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, node := range []string{"n1", "n2", "n3"} {
			log, err := os.ReadFile(filepath.Join(dir, node+".log"))
			t.Logf("log of %s (%v):\n%s", node, err, log)
		}
	})
	for _, stop := range []func(*foreground) error{
		func(f *foreground) error { return syscall.Kill(-f.cmd.Process.Pid, syscall.SIGINT) }, // Ctrl-C
		func(f *foreground) error { return f.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		f := inForeground(t, func(stdout string) bool { return strings.Count(stdout, " serves on ") == 3 },
			"sh", "../scripts/cluster.sh", program(t), dir)
		command{}.run(t, "start", "hello", "--input", `["Graz"]`, "--wait").want(t, 0, `["Hello, Graz!"]`+"\n")
		if err := stop(f); err != nil {
			t.Fatal(err)
		}
		f.end(t)
		if !portsFree(port) {
			t.Fatal("a node still runs")
		}
	}

	// A node that cannot start is told.
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+11))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := startForeground(t, "sh", "../scripts/cluster.sh", program(t), dir)
	eventually(t, "the script tells that a node ended", func() bool {
		told := f.stderr.String()
		return strings.Contains(told, "node n2 has ended") && strings.Contains(told, "address already in use")
	})
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.end(t)
}

// foreground is a program in the foreground of a terminal, with its children.
type foreground struct {
	cmd            *exec.Cmd
	stdout, stderr journal
	ended          chan struct{}
}

func up(t *testing.T, dir string, port int) *foreground {
	t.Helper()
	return inForeground(t, func(stdout string) bool { return strings.Contains(stdout, "Ctrl-C") },
		program(t), "up", "--nodes", "3", "--data-dir", dir, "--port", fmt.Sprint(port))
}

// inForeground starts a program and waits until its output shows that it is up.
func inForeground(t *testing.T, isUp func(stdout string) bool, name string, args ...string) *foreground {
	t.Helper()
	u := startForeground(t, name, args...)
	eventually(t, "the cluster is up", func() bool {
		select {
		case <-u.ended:
			t.Fatalf("it ended with code %d\n%s", u.cmd.ProcessState.ExitCode(), u.stderr.tail())
		default:
		}
		if errors := u.stderr.String(); strings.Contains(errors, " has ended; ") {
			t.Fatalf("a node ended\n%s", errors)
		}
		return isUp(u.stdout.String())
	})
	return u
}

func startForeground(t *testing.T, name string, args ...string) *foreground {
	t.Helper()
	u := &foreground{ended: make(chan struct{})}
	u.cmd = exec.Command(name, args...)
	u.cmd.Env = environment()
	u.cmd.Stdout, u.cmd.Stderr = &u.stdout, &u.stderr
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's foreground job
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(u.ended)
		_ = u.cmd.Wait() // the exit code tells
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		<-u.ended
	})
	return u
}

// interrupt does what Ctrl-C on a terminal does: the process and its children get
// the signal.
func (u *foreground) interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-u.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := u.end(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C\n%s", code, u.stderr.tail())
	}
}

// end waits for the end and returns the exit code.
func (u *foreground) end(t *testing.T) int {
	t.Helper()
	select {
	case <-u.ended:
	case <-time.After(limit):
		t.Fatalf("it does not end\n%s", u.stderr.tail())
	}
	return u.cmd.ProcessState.ExitCode()
}

// freePorts finds a port from which three nodes of "reprise up" find theirs free.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		if first := 10000 + rand.IntN(4000); portsFree(first) {
			return first
		}
	}
	t.Fatal("found no free ports")
	return 0
}

func portsFree(first int) bool {
	for i := range 9 {
		if freeaddr.Check(fmt.Sprintf("127.0.0.1:%d", first+10*(i/3)+i%3)) != nil {
			return false
		}
	}
	return true
}
