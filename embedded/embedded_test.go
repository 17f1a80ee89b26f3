package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/embedded"
)

var greet = reprise.NewOrchestration[string, string]("greet")

func greeter(options ...reprise.RegistryOption) *reprise.Registry {
	r := reprise.NewRegistry(options...)
	reprise.Bind(r, greet, func(_ *reprise.Orchestration, who string) (string, error) { return "hello " + who, nil })
	return r
}

// log is what nodes tell people; they write at the same time.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// upside encodes texts from the back, so that a client without it is found out.
type upside struct{ reprise.Codec }

func (u upside) Encode(v any) ([]byte, error) {
	if s, ok := v.(string); ok {
		v = "codec:" + s
	}
	return u.Codec.Encode(v)
}

func (u upside) Decode(data []byte, v any) error {
	err := u.Codec.Decode(data, v)
	if s, ok := v.(*string); ok && err == nil {
		var fits bool
		if *s, fits = strings.CutPrefix(*s, "codec:"); !fits {
			return fmt.Errorf("%q was encoded by another codec", *s)
		}
	}
	return err
}

// One call, and everything works; what was acknowledged is there after a restart.
func TestStart(t *testing.T) {
	dir := t.TempDir()
	var said log
	config := cluster.Config{Name: "n1", DataDir: dir, APIAddr: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(&said, nil))}
	for _, id := range []string{"first", "second"} {
		node, err := embedded.Start(t.Context(), config, greeter(reprise.WithCodec(upside{reprise.JSON})))
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		h, err := client.Run(t.Context(), node.Client(), greet, id, client.WithID(reprise.InstanceID(id)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.Result(t.Context()); got != "hello "+id || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if in, err := node.Client().Status(t.Context(), "first"); err != nil || in.Name != "greet" {
			t.Errorf("%+v, %v", in, err)
		}
		if err := node.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		<-node.Served()
		if _, err := net.Dial("tcp", node.APIAddr()); err == nil {
			t.Errorf("somebody listens at %s when the node has stopped", node.APIAddr())
		}
	}
	if strings.Contains(said.String(), "level=ERROR") {
		t.Errorf("logged:\n%s", said.String())
	}
}

// A mistake says what, where and what to do, and leaves nothing that listens.
func TestMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, mistake := range map[string]struct {
		change func(c *cluster.Config)
		want   error
		says   string
	}{
		"no name":          {func(c *cluster.Config) { c.Name = "" }, cluster.ErrConfig, "name"},
		"no directory":     {func(c *cluster.Config) { c.DataDir = "" }, cluster.ErrConfig, "data directory"},
		"no port":          {func(c *cluster.Config) { c.APIAddr = "127.0.0.1" }, cluster.ErrConfig, "missing port"},
		"a port's name":    {func(c *cluster.Config) { c.APIAddr = "127.0.0.1:http" }, cluster.ErrConfig, "no number"},
		"no port behind":   {func(c *cluster.Config) { c.APIAddr = "127.0.0.1:65535" }, cluster.ErrConfig, "65536"},
		"a taken port":     {func(c *cluster.Config) { c.APIAddr = taken.Addr().String() }, cluster.ErrPortInUse, "choose another"},
		"no such files":    {func(c *cluster.Config) { c.TLSCert, c.TLSKey, c.TLSCA = "no", "no", "no" }, cluster.ErrConfig, "certificate"},
		"open to anybody":  {func(c *cluster.Config) { c.APIAddr = "0.0.0.0:0" }, cluster.ErrConfig, "not loopback"},
		"another's folder": {func(c *cluster.Config) { c.DataDir = filepath.Join(c.DataDir, "used"); c.Name = "n2" }, cluster.ErrOtherNode, "n1"},
	} {
		t.Run(name, func(t *testing.T) {
			config := cluster.Config{Name: "n1", DataDir: t.TempDir(), APIAddr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
			if mistake.want == cluster.ErrOtherNode {
				first := config
				first.DataDir = filepath.Join(config.DataDir, "used")
				node, err := embedded.Start(t.Context(), first, greeter())
				if err != nil {
					t.Fatal(err)
				}
				if err := node.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			mistake.change(&config)
			node, err := embedded.Start(t.Context(), config, greeter())
			if err == nil {
				_ = node.Stop(t.Context())
			}
			if !errors.Is(err, mistake.want) || !strings.Contains(fmt.Sprint(err), mistake.says) {
				t.Errorf("%v; want %v and %q", err, mistake.want, mistake.says)
			}
		})
	}
}

// Without addresses for peers and gossip, they are on the ports that follow.
func TestAddresses(t *testing.T) {
	var node *embedded.Node
	for range 20 { // until three ports in a row are free
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := free.Addr().String()
		_ = free.Close()
		node, err = embedded.Start(t.Context(), cluster.Config{Name: "n1", DataDir: t.TempDir(), APIAddr: addr, Logger: slog.New(slog.DiscardHandler)}, greeter())
		if err == nil {
			break
		}
		if !errors.Is(err, cluster.ErrPortInUse) && !errors.Is(err, cluster.ErrConfig) {
			t.Fatal(err)
		}
	}
	if node == nil {
		t.Fatal("no three ports in a row are free")
	}
	defer func() {
		if err := node.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	d, err := node.Client().Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	port := func(addr string) int {
		_, text, _ := net.SplitHostPort(addr)
		n, _ := strconv.Atoi(text)
		return n
	}
	for i, addr := range []string{d.Nodes[0].APIAddress, d.Nodes[0].PeerAddress, d.Nodes[0].GossipAddress} {
		if port(addr) != port(node.APIAddr())+i {
			t.Errorf("%q is not %d behind %s", addr, i, node.APIAddr())
		}
	}
}
