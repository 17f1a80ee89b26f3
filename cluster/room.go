package cluster

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var errFull = errors.New("all nodes that run it are full")

// Room implements [leader.Dispatcher].
func (d *dispatcher) Room(name string, options *history.TaskOptions) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	room, bound, runs := 0, false, false
	now := time.Now()
	for _, t := range d.targets {
		bound = bound || t.binds(name)
		if t.runs(name, options) {
			runs = true
			room += t.room(name, now)
		}
	}
	if room > 0 {
		return room, nil
	}
	d.starved = true // who asks wants to hear of room
	switch {
	case runs:
		return 0, errFull
	case bound:
		return 0, fmt.Errorf("%w: no node that binds it has the labels %s", leader.ErrNoNode, history.DescribeLabels(options.Nodes))
	}
	return 0, fmt.Errorf("%w: no node binds it", leader.ErrNoNode)
}

// refused notes why a node did not take an attempt.
func (t *target) refused(v verdict, activity string) {
	switch v {
	case verdictFull:
		t.fullUntil = time.Now().Add(fullPause)
	case verdictLimited:
		t.limited[activity] = time.Now().Add(fullPause)
	}
}

// room returns how many attempts of an activity a node takes now, as far as this one
// knows.
func (t *target) room(activity string, now time.Time) int {
	if now.Before(t.fullUntil) || now.Before(t.limited[activity]) {
		return 0
	}
	return max(t.capacity-t.ours-t.others, 0)
}

// binds reports whether a node has an activity.
func (t *target) binds(name string) bool {
	_, binds := slices.BinarySearch(t.names, name)
	return binds
}

// runs reports whether a node has an activity, and the labels that it demands.
func (t *target) runs(name string, options *history.TaskOptions) bool {
	if !t.binds(name) {
		return false
	}
	if options == nil {
		return true
	}
	for k, v := range options.Nodes {
		if has, ok := t.labels[k]; !ok || has != v {
			return false
		}
	}
	return true
}
