package durablehttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/durablehttp"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/freeaddr"
	"github.com/reprise-run/reprise/partition/leader"
)

var runJob = reprise.NewOrchestration[string, string]("job")

// job has an operation done by the endpoint, and waits for its end.
func job(o *reprise.Orchestration, url string) (string, error) {
	resp, err := durablehttp.Call(o, durablehttp.Request{Method: "POST", URL: url, TokenSource: "node", ExpectStatus: []int{200}})
	return string(resp.Body), err
}

// jobs is an endpoint that starts one operation an idempotency key. It knows by the
// credential which node asks. The first node that polls becomes the victim: from
// then on what it asks is done, but not answered. The posts of other nodes are answered
// once it has sent one: where the others are busy, some of the work is its own.
type jobs struct {
	posted chan struct{} // closed when the victim has sent a POST
	mu     sync.Mutex    // guards the fields below
	victim string
	posts  map[string][]string // nodes by key
	polls  map[string][]string
	held   chan string // methods of requests that are held
	once   sync.Once   // closes posted
}

func (j *jobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch held, chosen := j.note(w, r); {
	case held:
		j.held <- r.Method
		<-r.Context().Done() // until the node is dead
	case chosen && r.Method == "POST":
		select {
		case <-j.posted:
		case <-r.Context().Done():
		}
	}
}

// note does what is asked. It reports whether the request is the victim's, and whether
// there is one.
func (j *jobs) note(w http.ResponseWriter, r *http.Request) (held, chosen bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	node := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	key := strings.TrimPrefix(r.URL.Path, "/operations/")
	if r.Method == "POST" {
		key = r.Header.Get("Idempotency-Key")
		j.posts[key] = append(j.posts[key], node)
	} else {
		j.polls[key] = append(j.polls[key], node)
		if j.victim == "" {
			j.victim = node
		}
	}
	switch {
	case node == j.victim:
		if r.Method == "POST" {
			j.once.Do(func() { close(j.posted) })
		}
		return true, true
	case r.Method == "POST" || len(j.polls[key]) == 1:
		w.Header().Set("Location", "/operations/"+key)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(202)
	default:
		fmt.Fprint(w, key)
	}
	return false, j.victim != ""
}

// The node that polls is killed in the middle, and also in the middle of requests
// that start operations. Each operation is started once, by its key, and ends once.
func TestKillTheNodeThatPolls(t *testing.T) {
	j := &jobs{posts: map[string][]string{}, polls: map[string][]string{}, held: make(chan string, 1000), posted: make(chan struct{})}
	endpoint := httptest.NewServer(j)
	defer endpoint.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nodes := startNodes(ctx, t, endpoint.Listener.Addr().String())

	const count = 24
	instance := func(i int) leader.InstanceRef {
		return leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("job", i))}
	}
	input, err := json.Marshal(endpoint.URL)
	if err != nil {
		t.Fatal(err)
	}
	start := func(i int) {
		t.Helper()
		if _, err := nodes["a"].StartInstance(ctx, leader.StartRequest{
			Instance: instance(i), Execution: history.ExecutionID(fmt.Sprintf("%032x", i+1)), Name: runJob.Name(), Input: input,
			Identity: leader.RequestIdentity{ID: fmt.Sprint("start", i), Sent: time.Now()},
		}); err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
	}
	waitFor := func(method string) {
		t.Helper()
		for {
			select {
			case held := <-j.held:
				if held == method {
					return
				}
			case <-ctx.Done():
				t.Fatalf("the victim sent no %s", method)
			}
		}
	}
	start(0)
	waitFor("GET")
	for i := 1; i < count; i++ {
		start(i)
	}
	waitFor("POST")
	dead, crash := context.WithCancel(ctx)
	crash()
	if err := nodes[j.victim].Stop(dead); err != nil {
		t.Errorf("crash %s: %v", j.victim, err)
	}
	delete(nodes, j.victim)

	by := nodes["b"]
	if by == nil {
		by = nodes["c"]
	}
	keys := map[string]bool{}
	for i := range count {
		got, err := by.Wait(ctx, leader.WaitRequest{Instance: instance(i), Ended: true, Payloads: true})
		var key string
		if err == nil {
			err = json.Unmarshal(got.Output, &key)
		}
		if err != nil || got.Status != history.Completed {
			t.Fatalf("%d: %v, %v, %+v", i, got.Status, err, got.Failure)
		}
		keys[key] = true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(keys) != count || len(j.posts) != count {
		t.Errorf("%d operations were started and %d have ended, of %d", len(j.posts), len(keys), count)
	}
	repeated := func(requests map[string][]string) bool {
		for _, by := range requests {
			if i := slices.Index(by, j.victim); i >= 0 && slices.ContainsFunc(by[i:], func(n string) bool { return n != j.victim }) {
				return true
			}
		}
		return false
	}
	if !repeated(j.posts) || !repeated(j.polls) {
		t.Errorf("nobody repeated what %s had asked: %v, %v", j.victim, j.posts, j.polls)
	}
}

// startNodes starts a cluster of three on loopback whose nodes may call the endpoint.
func startNodes(ctx context.Context, t *testing.T, endpoint string) map[string]*cluster.Node {
	t.Helper()
	nodes := map[string]*cluster.Node{}
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for name, n := range nodes {
			if err := n.Stop(stop); err != nil {
				t.Errorf("stop %s: %v", name, err)
			}
		}
	})
	gossip := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	for i, name := range []string{"a", "b", "c"} {
		registry := reprise.NewRegistry(reprise.WithLogger(slog.New(slog.DiscardHandler)))
		reprise.Bind(registry, runJob, job)
		if err := durablehttp.Bind(registry, durablehttp.Config{
			AllowedHosts: []string{endpoint}, AllowPrivate: []string{endpoint},
			TokenSources: map[string]durablehttp.TokenSource{
				"node": durablehttp.Bearer(func(context.Context) (string, error) { return name, nil }, endpoint),
			},
		}); err != nil {
			t.Fatal(err)
		}
		n, err := cluster.Start(ctx, cluster.Config{
			Name: name, DataDir: "/data", PeerAddr: freeAddr(t), GossipAddr: gossip[i], APIAddr: "127.0.0.1:1", Join: gossip,
			BootstrapExpect: 3, Partitions: 3, FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler),
			OnFatal: func(err error) { t.Errorf("%s: %v", name, err) },
		}, registry)
		if err != nil {
			t.Fatalf("start %s: %v", name, err)
		}
		nodes[name] = n
	}
	for name, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			t.Fatalf("%s is not ready: %v", name, err)
		}
	}
	return nodes
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := freeaddr.Loopback()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
