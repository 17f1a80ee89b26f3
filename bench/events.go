package bench

import (
	"context"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// raiseAll raises the events that a listener waits for, each when the one before is
// acknowledged.
func raiseAll(ctx context.Context, c *client.Client, id history.InstanceID, in value) error {
	for range in.N {
		if err := client.Raise(ctx, c, id, item, newValue(1)); err != nil {
			return err
		}
	}
	return nil
}
