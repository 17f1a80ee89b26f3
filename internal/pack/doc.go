// Package pack writes and reads the small msgpack values in which Reprise keeps
// its records: a version byte, a flags byte, and an array of the fields in
// order.
//
// It exists beside the msgpack library for two reasons. The records are on the
// hot path, where appending to a byte slice is several times faster; and its
// reader never allocates by a length that it was told, only by bytes that are
// there, so a damaged record is an error and nothing worse.
//
// A record may grow new fields at its end: what an older writer left out reads
// as zero, what a newer writer added is skipped. Any other change takes a new
// version.
package pack
