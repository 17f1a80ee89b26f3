package partition

import "encoding/binary"

// checkedEntity is what was found of an entity, besides.
type checkedEntity struct {
	signals map[int32]bool
	listed  bool
	states  map[uint64]stateRow // by number
}

// stateRow is what was found of a row with a state. One without its first piece is
// unfinished.
type stateRow struct {
	first  bool
	pieces int
}

func (c *checker) call(key, value []byte) error {
	a, id, err := ParseActivityKey(key) // of the same shape
	if err != nil {
		return err
	}
	c.of(a).calls[id], err = decodeCall(value)
	return err
}

func (c *checker) section(key, value []byte) error {
	a, id, err := ParseActivityKey(key) // of the same shape
	if err != nil {
		return err
	}
	c.of(a).sections[id], err = decodeSection(value)
	return err
}

func (c *checker) signal(key, _ []byte) error {
	a, rest, err := ParseAddress(key)
	if err == nil && binary.BigEndian.Uint16(rest[4:]) == 0 {
		c.of(a).entity.signals[int32(binary.BigEndian.Uint32(rest))] = true
	}
	return err
}

func (c *checker) listed(key, _ []byte) error {
	a, err := parseEntityKey(key)
	if err == nil {
		c.of(a).entity.listed = true
	}
	return err
}

func (c *checker) state(key, _ []byte) error {
	a, rest, err := ParseAddress(key)
	first := err == nil && binary.BigEndian.Uint16(rest[8:]) == 0
	if first || err == nil && c.instances[a.path] != nil {
		number, states := binary.BigEndian.Uint64(rest), c.of(a).entity.states
		row := states[number]
		row.pieces++
		row.first = row.first || first
		states[number] = row
	}
	return err
}

// checkEntity compares the rows that only entities have with the record.
func checkEntity(in *checked, inbox []*Mail, bad func(string, ...any)) {
	found, e := in.entity, in.record.Entity
	if (e != nil) != in.addr.ID.IsEntity() {
		bad("is an entity by its ID: %t, by its record: %t", in.addr.ID.IsEntity(), e != nil)
		return
	}
	if e == nil {
		if found.listed || len(found.signals)+len(found.states) > 0 {
			bad("is no entity and has rows of one")
		}
		return
	}
	if !found.listed || !e.Listed {
		bad("list of entities: %t, the record says %t", found.listed, e.Listed)
	}
	if e.State == 0 && e.LockedBy == nil && e.Scheduled == 0 && in.record.Stored == 0 {
		bad("is an entity with nothing, and still there")
	}
	if e.Scheduled != int64(len(found.signals)) {
		bad("has %d scheduled operations, the record says %d", len(found.signals), e.Scheduled)
	}
	stored := int64(0)
	for _, m := range inbox {
		stored += payloadOf(m)
	}
	if in.record.StoredBytes > stored || e.Scheduled == 0 && in.record.ScheduledBytes > 0 { // records of older writers do not count them
		bad("has %d bytes of stored payload and %d scheduled operations, the record says %d and %d bytes", stored, e.Scheduled, in.record.StoredBytes, in.record.ScheduledBytes)
	}
	signals := 0
	for t := range in.timers {
		if t.Kind == SignalTimer {
			signals++
		}
	}
	if signals != len(found.signals) {
		bad("has %d scheduled operations and %d timers for them", len(found.signals), signals)
	}
	for number, row := range found.states {
		if row.first && (number != e.State || row.pieces != e.Pieces) {
			bad("has state %d of %d pieces, the record says %d of %d", number, row.pieces, e.State, e.Pieces)
		}
	}
	if e.State != 0 && !found.states[e.State].first {
		bad("its state %d is missing", e.State)
	}
}
