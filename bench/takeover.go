package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// slotOwners returns the partition of every slot.
func slotOwners(ctx context.Context, c *client.Client) ([]uint32, error) {
	d, err := c.Cluster(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the partitions: %w", err)
	}
	owners := make([]uint32, history.Slots)
	for _, p := range d.Partitions {
		for _, r := range p.Slots {
			for s := r.First; s <= r.Last; s++ {
				owners[s] = p.ID
			}
		}
	}
	return owners, nil
}

// prober starts empty orchestrations on one partition, so that it is seen when
// the partition commits again.
type prober struct {
	client    *client.Client
	partition uint32
	owners    []uint32
	sequence  int
}

// id returns a new instance ID on the prober's partition.
func (p *prober) id() history.InstanceID {
	for {
		p.sequence++
		id := history.InstanceID(fmt.Sprintf("probe-%d-%d", p.partition, p.sequence))
		if p.owners[history.SlotOf(history.DefaultTaskHub, id)] == p.partition {
			return id
		}
	}
}

// probe returns when a start that is sent now is acknowledged.
func (p *prober) probe(ctx context.Context) error {
	_, err := p.client.Start(ctx, empty.Name(), []byte(`{"n":0,"pad":""}`), client.WithID(p.id()))
	if err != nil {
		return fmt.Errorf("probe partition %d: %w", p.partition, err)
	}
	return nil
}

// takeovers kills the node that leads most, again and again, until at least want
// partitions were taken over. It returns for each how long the partition did not
// commit: from the kill to the acknowledgement of a start that a client sent
// after it.
func takeovers(ctx context.Context, c *testcluster.Cluster, dial func() (*client.Client, error), want int, progress func(string, ...any)) (latencies, error) {
	var all latencies
	api, err := dial()
	if err != nil {
		return nil, err
	}
	defer api.Close()
	owners, err := slotOwners(ctx, api)
	if err != nil {
		return nil, err
	}
	for kill := 1; len(all) < want; kill++ {
		if err := c.Balanced(ctx); err != nil {
			return all, err
		}
		victim, partitions := c.Busiest(ctx)
		if victim == nil {
			return all, fmt.Errorf("nobody leads")
		}
		took, err := takeOver(ctx, victim, partitions, api, owners, kill)
		if err != nil {
			return all, err
		}
		all = append(all, took...)
		progress("kill %d: %s led %d partitions; taken over after %v to %v", kill, victim.Name(), len(partitions), took.percentile(0), took.max())
		if err := victim.Start(ctx); err != nil {
			return all, err
		}
	}
	return all, nil
}

// takeOver kills one node and probes the partitions that it led.
func takeOver(ctx context.Context, victim *testcluster.Node, partitions []uint32, api *client.Client, owners []uint32, kill int) (latencies, error) {
	probers := make([]*prober, len(partitions))
	for i, id := range partitions {
		probers[i] = &prober{client: api, partition: id, owners: owners, sequence: kill * 1_000_000}
		// The way to the leader is known and open, as it is under load.
		if err := probers[i].probe(ctx); err != nil {
			return nil, err
		}
	}
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return nil, err
	}
	took := make(latencies, len(probers))
	errs := make([]error, len(probers))
	var wg sync.WaitGroup
	for i, p := range probers {
		wg.Go(func() {
			errs[i] = p.probe(ctx)
			took[i] = time.Since(killed)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
