package leader

import (
	"bytes"

	"github.com/reprise-run/reprise/partition"
)

// counts follows how many timers are armed and how many instances are parked. A new
// leader reads both from the partition's record. Where an older version wrote that, the
// rows are counted once, page by page beside the work, and then the record has them.
type counts struct {
	partition.Counts
	// left are the ranges that are not counted yet; what is written in them is counted
	// when it is read.
	left [][2][]byte
}

// wrote counts rows that were written, or deleted.
func (n *counts) wrote(key []byte, rows int64) {
	for _, r := range n.left {
		if bytes.Compare(key, r[0]) >= 0 && bytes.Compare(key, r[1]) < 0 {
			return
		}
	}
	n.Add(key, rows)
}

// recorded returns what the partition's record is to say; nil: they are not known yet.
func (n *counts) recorded() *partition.Counts {
	if len(n.left) > 0 {
		return nil
	}
	known := n.Counts
	return &known
}

// pageCounts counts a page of what an older version left uncounted.
func (c *core) pageCounts() error {
	n := &c.view.counts
	if len(n.left) == 0 {
		return nil
	}
	rows, next := 0, []byte(nil)
	err := c.view.Scan(n.left[0][0], n.left[0][1], func(key, _ []byte) bool {
		n.Add(key, 1)
		next = append(bytes.Clone(key), 0)
		rows++
		return rows < page
	})
	if rows < page {
		n.left = n.left[1:]
	} else {
		n.left[0][0] = next
	}
	return err
}
