package cluster

import (
	"slices"

	"github.com/reprise-run/reprise/internal/peer"
)

// replication is on how many nodes a group has replicas, where there are so many.
const replication = 3

// place says where the replicas of groups shall be, and who shall lead each. It
// is a pure function of the nodes (sorted) and of where the replicas are now.
// Each group gets as many replicas as possible, up to [replication], on
// different nodes; nodes hold about as many replicas, and lead about as many
// groups, as each other; what can stay where it is stays.
func place(nodes []peer.NodeID, current []placement) []placement {
	want := min(replication, len(nodes))
	load := make(map[peer.NodeID]int)
	placed := make([]placement, len(current))
	for i, p := range current {
		for _, name := range p.Replicas {
			if slices.Contains(nodes, name) {
				placed[i].Replicas = append(placed[i].Replicas, name)
				load[name]++
			}
		}
		placed[i].Preferred = p.Preferred
	}
	for i := range placed {
		p := &placed[i]
		for len(p.Replicas) > want {
			n := most(p.Replicas, load)
			p.Replicas = without(p.Replicas, n)
			load[n]--
		}
		for len(p.Replicas) < want {
			n := least(except(nodes, p.Replicas), load)
			p.Replicas = append(p.Replicas, n)
			load[n]++
		}
	}
	for move(placed, nodes, load) {
	}
	for i := range placed {
		slices.Sort(placed[i].Replicas)
	}
	chooseLeaders(placed)
	return placed
}

// move takes one replica from a node that has at least two more than another;
// false if there is none to take.
func move(placed []placement, nodes []peer.NodeID, load map[peer.NodeID]int) bool {
	to := least(nodes, load)
	for i := range placed {
		p := &placed[i]
		if slices.Contains(p.Replicas, to) {
			continue
		}
		if from := most(p.Replicas, load); load[from] >= load[to]+2 {
			p.Replicas = append(without(p.Replicas, from), to)
			load[from]--
			load[to]++
			return true
		}
	}
	return false
}

// chooseLeaders gives each group a preferred leader among its replicas. It keeps
// those that there are and shifts along chains of groups until no node leads two
// more than another that could take one over.
func chooseLeaders(placed []placement) {
	leads := make(map[peer.NodeID]int)
	for i := range placed {
		p := &placed[i]
		if slices.Contains(p.Replicas, p.Preferred) {
			leads[p.Preferred]++
		} else {
			p.Preferred = ""
		}
	}
	for i := range placed {
		if p := &placed[i]; p.Preferred == "" {
			p.Preferred = least(p.Replicas, leads)
			leads[p.Preferred]++
		}
	}
	for shift(placed, leads) {
	}
}

// shift moves one leadership from a node to another that leads at least two
// fewer, possibly by way of nodes between.
func shift(placed []placement, leads map[peer.NodeID]int) bool {
	busiest := make([]peer.NodeID, 0, len(leads))
	for n := range leads {
		busiest = append(busiest, n)
	}
	slices.SortFunc(busiest, func(a, b peer.NodeID) int {
		if leads[a] != leads[b] {
			return leads[b] - leads[a]
		}
		if a < b {
			return -1
		}
		return 1
	})
	for _, from := range busiest {
		// Breadth first over "a group that x leads could be led by y".
		via := map[peer.NodeID]int{from: -1}
		queue := []peer.NodeID{from}
		for len(queue) > 0 {
			x := queue[0]
			queue = queue[1:]
			for i, p := range placed {
				if p.Preferred != x {
					continue
				}
				for _, y := range p.Replicas {
					if _, seen := via[y]; seen {
						continue
					}
					via[y] = i
					queue = append(queue, y)
					if leads[from] < leads[y]+2 {
						continue
					}
					leads[from]--
					leads[y]++
					for to := y; to != from; {
						group := &placed[via[to]]
						to, group.Preferred = group.Preferred, to
					}
					return true
				}
			}
		}
	}
	return false
}

// least returns the node with the smallest count, the first by name among equals.
func least(nodes []peer.NodeID, count map[peer.NodeID]int) peer.NodeID {
	best := nodes[0]
	for _, n := range nodes[1:] {
		if count[n] < count[best] || count[n] == count[best] && n < best {
			best = n
		}
	}
	return best
}

// most returns the node with the largest count, the last by name among equals.
func most(nodes []peer.NodeID, count map[peer.NodeID]int) peer.NodeID {
	best := nodes[0]
	for _, n := range nodes[1:] {
		if count[n] > count[best] || count[n] == count[best] && n > best {
			best = n
		}
	}
	return best
}

func without(nodes []peer.NodeID, gone peer.NodeID) []peer.NodeID {
	return except(nodes, []peer.NodeID{gone})
}

func except(nodes, gone []peer.NodeID) []peer.NodeID {
	return slices.DeleteFunc(slices.Clone(nodes), func(n peer.NodeID) bool { return slices.Contains(gone, n) })
}
