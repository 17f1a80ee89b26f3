package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/samples"
)

const (
	demoNodes      = 3
	demoActivities = 2                      // a node at a time: so the work spreads over the nodes
	demoPace       = 200 * time.Millisecond // a batch, at least: so one can watch
	demoID         = "wordcount-demo"
	// A node is killed when so many per cent of the batches are recorded; below is
	// what counts as right.
	demoKillAt               = 40
	demoKillMin, demoKillMax = 30, 70
	demoMinBatches           = 24
	demoTop                  = 10
	// demoPatience bounds the start of nodes, and the takeover.
	demoPatience = time.Minute
	demoPoll     = 25 * time.Millisecond
)

func (p *program) demoCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a local cluster, count words on it, kill a node on the way, check the result",
		Long: `Start three node processes on free ports in a temporary directory, count the words
of all files below --dir on them, kill the node that leads the orchestration when
about 40 % of the work is recorded, restart it, and compare the result with a
sequential count. The exit code is 0 only if all is right.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`directory` with at least 24 files; the Go standard library's sources if not given")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			dir = filepath.Join(goroot(cmd.Context()), "src")
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return usage("--dir: %w", err)
		}
		if info, err := os.Stat(dir); err != nil {
			return usage("--dir: %w", err)
		} else if !info.IsDir() {
			return usage("--dir: %s is not a directory", dir)
		}
		return p.demo(cmd.Context(), dir)
	}
	return cmd
}

// goroot asks the go command, which knows best.
func goroot(ctx context.Context) string {
	if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		if root := strings.TrimSpace(string(out)); root != "" {
			return root
		}
	}
	return build.Default.GOROOT
}

// demo is one run: a cluster, a count, a kill, a comparison.
type demo struct {
	*program
	input  samples.WordCountInput
	temp   string
	nodes  []*nodeProcess
	logs   []io.Closer
	client *client.Client
	bar    progressBar
}

func (p *program) demo(ctx context.Context, dir string) (err error) {
	top := demoTop
	d := &demo{program: p, input: samples.WordCountInput{Dir: dir, Top: &top}, bar: newProgressBar(p.stdout)}
	if d.temp, err = os.MkdirTemp("", "reprise-demo-"); err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() {
		d.close()
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(p.stderr, "the nodes' directories and logs are kept in %s\n", d.temp)
		} else if removeErr := os.RemoveAll(d.temp); removeErr != nil {
			fmt.Fprintf(p.stderr, "could not remove %s: %v\n", d.temp, removeErr)
		}
	}()
	if err := d.startCluster(ctx); err != nil {
		return err
	}
	h, err := client.Run(ctx, d.client, samples.WordCount, d.input, client.WithID(demoID))
	if err != nil {
		return err
	}
	d.bar.say("counting the words of all files below %s", dir)
	takeover, err := d.killLeader(ctx)
	if err != nil {
		return err
	}
	if err := d.watch(ctx, nil); err != nil {
		return err
	}
	got, err := h.Result(ctx)
	if err != nil {
		return err
	}
	if err := takeover.restarted(ctx); err != nil {
		return err
	}
	return d.judge(ctx, got, takeover)
}

// startCluster starts the nodes and waits until they serve.
func (d *demo) startCluster(ctx context.Context) error {
	addresses, err := freeAddresses(demoNodes)
	if err != nil {
		return err
	}
	var join, api []string
	for _, a := range addresses {
		join, api = append(join, a.gossip), append(api, a.api)
	}
	d.bar.say("starting %d nodes in %s", demoNodes, d.temp)
	for i, a := range addresses {
		name := fmt.Sprintf("n%d", i+1)
		n := newNodeProcess(name, filepath.Join(d.temp, name), a,
			"--join", strings.Join(join, ","), "--bootstrap-expect", fmt.Sprint(demoNodes),
			"--activities", fmt.Sprint(demoActivities), "--samples-pace", demoPace.String())
		if err := d.start(n); err != nil {
			return err
		}
		d.nodes = append(d.nodes, n)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("%v passed", demoPatience))
	defer cancel()
	for _, n := range d.nodes {
		if err := n.ready(ctx); err != nil {
			return err
		}
		d.bar.say("node %s serves on %s (process %d)", n.name, n.api, n.cmd.Process.Pid)
	}
	d.client, err = client.Dial(api, client.WithPatience(demoPatience))
	return err
}

// start starts a node with its log in a file.
func (d *demo) start(n *nodeProcess) error {
	log, err := os.OpenFile(filepath.Join(d.temp, n.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of node %s: %w", n.name, err)
	}
	d.logs = append(d.logs, log)
	return n.start(log)
}

func (d *demo) close() {
	stopAll(d.nodes)
	if d.client != nil {
		_ = d.client.Close() // nothing is under way
	}
	for _, log := range d.logs {
		_ = log.Close() // nobody writes to it any more
	}
}

// progress reads how far the count is. ended is told with the last progress.
func (d *demo) progress(ctx context.Context) (progress samples.Progress, ended bool, err error) {
	in, err := d.client.Status(ctx, demoID)
	if err != nil {
		return progress, false, err
	}
	if in.CustomStatus != nil {
		if err := json.Unmarshal(in.CustomStatus, &progress); err != nil {
			return progress, false, fmt.Errorf("read the progress: %w", err)
		}
	}
	return progress, in.Status.Ended(), nil
}

// watch shows the progress until the count has ended, or until says so.
func (d *demo) watch(ctx context.Context, until func(samples.Progress) bool) error {
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		progress, ended, err := d.progress(ctx)
		if err != nil {
			return err
		}
		d.bar.show(progress.Done, progress.Of)
		if ended || until != nil && until(progress) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// takeover tells what happened around the kill.
type takeover struct {
	node     *nodeProcess
	of       int // batches in all
	atKill   int // batches recorded before the kill
	atAnswer int // batches recorded when the new leader answered first
	answered time.Duration
	recorded time.Duration
}

// killLeader waits for its moment, kills the node that leads the orchestration's
// partition, waits for the takeover, and restarts the node.
func (d *demo) killLeader(ctx context.Context) (*takeover, error) {
	t := &takeover{}
	err := d.watch(ctx, func(p samples.Progress) bool {
		t.atKill, t.of = p.Done, p.Of
		return p.Of > 0 && p.Done*100 >= p.Of*demoKillAt
	})
	if err != nil {
		return nil, err
	}
	if t.of < demoMinBatches {
		return nil, usage("%s holds too few files for %d batches; choose another --dir", d.input.Dir, demoMinBatches)
	}
	if t.node, err = d.leader(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := t.node.kill(); err != nil {
		return nil, err
	}
	d.bar.say("killed node %s (kill -9), which led the orchestration, at %d of %d batches (%d %%)", t.node.name, t.atKill, t.of, t.percent())
	progress, _, err := d.progress(ctx)
	if err != nil {
		return nil, fmt.Errorf("after the kill: %w", err)
	}
	t.answered, t.atAnswer = time.Since(began), progress.Done
	if err := d.watch(ctx, func(p samples.Progress) bool { return p.Done > t.atAnswer }); err != nil {
		return nil, err
	}
	t.recorded = time.Since(began)
	d.bar.say("takeover: a new leader answered after %v, and the next batch was recorded after %v",
		t.answered.Round(time.Millisecond), t.recorded.Round(time.Millisecond))
	if err := d.start(t.node); err != nil {
		return nil, err
	}
	d.bar.say("restarted node %s", t.node.name)
	return t, nil
}

func (t *takeover) percent() int { return 100 * t.atKill / t.of }

// restarted waits until the killed node serves again.
func (t *takeover) restarted(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("%v passed", demoPatience))
	defer cancel()
	return t.node.ready(ctx)
}

// leader finds the process that leads the orchestration's partition.
func (d *demo) leader(ctx context.Context) (*nodeProcess, error) {
	c, err := d.client.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	slot := uint32(history.SlotOf(history.DefaultTaskHub, demoID))
	for _, p := range c.Partitions {
		for _, s := range p.Slots {
			if slot < s.First || slot > s.Last {
				continue
			}
			for _, n := range d.nodes {
				if n.name == p.Leader {
					return n, nil
				}
			}
			return nil, fmt.Errorf("partition %d, which has the orchestration, has no known leader", p.ID)
		}
	}
	return nil, fmt.Errorf("no partition has slot %d", slot)
}

// judge counts sequentially and says what is right and what is not.
func (d *demo) judge(ctx context.Context, got samples.WordCountOutput, t *takeover) error {
	final, _, err := d.progress(ctx)
	if err != nil {
		return err
	}
	d.bar.say("%d files, %d words; the most frequent: %s", got.Files, got.Words, describeTop(got))
	d.bar.say("counting again, sequentially, in this process")
	began := time.Now()
	want, err := samples.CountSequentially(d.input.Dir, *d.input.Top)
	if err != nil {
		return fmt.Errorf("count sequentially: %w", err)
	}
	var wrong []error
	if same(got, want) {
		d.bar.say("the results are identical (the sequential count took %v)", time.Since(began).Round(time.Millisecond))
	} else {
		wrong = append(wrong, fmt.Errorf("the results differ: the cluster says %d files, %d words (%s), the sequential count %d files, %d words (%s)",
			got.Files, got.Words, describeTop(got), want.Files, want.Words, describeTop(want)))
	}
	ran := 0
	for _, n := range d.nodes {
		d.bar.say("node %s ran %d batches", n.name, final.Nodes[n.name])
		ran += final.Nodes[n.name]
	}
	after := t.of - t.atAnswer
	d.bar.say("%d of %d batches finished after the takeover", after, t.of)
	if ran != t.of || final.Done != t.of {
		wrong = append(wrong, fmt.Errorf("%d of %d batches were recorded, %d with a node's name", final.Done, t.of, ran))
	}
	if after <= 0 {
		wrong = append(wrong, errors.New("no batch finished after the takeover"))
	}
	if p := t.percent(); p < demoKillMin || p > demoKillMax {
		wrong = append(wrong, fmt.Errorf("the node was killed at %d %% of the batches; %d to %d %% was wanted", p, demoKillMin, demoKillMax))
	}
	return errors.Join(wrong...)
}

func same(a, b samples.WordCountOutput) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(x) == string(y)
}

func describeTop(out samples.WordCountOutput) string {
	var words []string
	for i, w := range out.Top {
		if i == 3 {
			break
		}
		words = append(words, fmt.Sprintf("%s (%d)", w.Word, w.Count))
	}
	return strings.Join(words, ", ")
}
