package history

import "github.com/cespare/xxhash/v2"

// Slots is the number of slots that instances hash to. It is fixed for ever: it
// is part of the stored form.
const Slots = 4096

// Slot is a share of the instances of a cluster; slots belong to partitions.
type Slot uint16

// SlotOf returns the slot of an instance: the XXH64 hash (seed 0) of the task
// hub, a zero byte and the instance ID, modulo [Slots]. Neither name may hold a
// zero byte, so no two instances share a hashed text.
func SlotOf(hub TaskHub, id InstanceID) Slot {
	buf := make([]byte, 0, MaxTaskHubBytes+1+MaxInstanceIDBytes)
	buf = append(buf, hub...)
	buf = append(buf, 0)
	buf = append(buf, id...)
	return Slot(xxhash.Sum64(buf) % Slots)
}
