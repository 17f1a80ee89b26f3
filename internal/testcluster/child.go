package testcluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"

	"github.com/reprise-run/reprise/internal/nodeproc"
)

// variable holds a [Spec] in the environment of a node process.
const variable = "REPRISE_TEST_NODE"

// Spec is what a node process is told by its parent.
type Spec struct {
	// Role selects the function that [Main] calls.
	Role string
	Name string
	// Dir is the node's own directory.
	Dir string
	// The addresses of this node, host:port.
	APIAddr, PeerAddr, GossipAddr, ControlAddr string
	// Peers are the nodes of the cluster, this one included, in order.
	Peers []Peer
	// Extra is what the parent's [Config] had for the role.
	Extra string
}

// Peer is what every node knows of every other from the beginning.
type Peer struct{ Name, PeerAddr, GossipAddr string }

// Self is the spec of this process. Only roles may call it.
func Self() Spec {
	var s Spec
	if err := json.Unmarshal([]byte(os.Getenv(variable)), &s); err != nil {
		Fatal(fmt.Errorf("read %s: %w", variable, err))
	}
	return s
}

// Main returns at once in a process that is not a node. In one that is, it runs
// the role and exits; it exits too when the parent is gone.
//
// The Go runtime is set up as the reprise program does it.
func Main(roles map[string]func()) {
	if os.Getenv(variable) == "" {
		return
	}
	spec := Self()
	role, ok := roles[spec.Role]
	if !ok {
		Fatal(fmt.Errorf("no role %q", spec.Role))
	}
	nodeproc.Prepare()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		os.Exit(3)
	}()
	role()
	os.Exit(0)
}

// Fatal ends a node process with a message in its log.
func Fatal(err error) {
	fmt.Fprintln(os.Stderr, "test node:", err)
	os.Exit(1)
}

// Serve answers on the control port: /report with report's answer as JSON, the
// profiles of net/http/pprof, and further handlers by path. It does not return.
// The parent takes the process for started once the port is open.
func Serve(spec Spec, report func(r *http.Request) (any, error), more map[string]http.HandlerFunc) {
	mux := http.NewServeMux()
	mux.HandleFunc("/serving", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/report", func(w http.ResponseWriter, r *http.Request) {
		answer, err := report(r)
		if err == nil {
			err = json.NewEncoder(w).Encode(answer)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	for path, h := range more {
		mux.HandleFunc(path, h)
	}
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	l, err := net.Listen("tcp", spec.ControlAddr)
	if err != nil {
		Fatal(fmt.Errorf("open the control port: %w", err))
	}
	Fatal(http.Serve(l, mux))
}
