package partition

import "strings"

// Owner is the part of a key that names the instance whose row it is; it is the same in
// all tables of rows of instances.
type Owner string

// Owner returns what names the instance in the keys of its rows.
func (a Address) Owner() Owner { return Owner(a.path) }

// DescribedBy returns the owner of a row from which descriptions of instances are read:
// the record, the custom status, what is pending. False: it is another row.
func DescribedBy(key string) (Owner, bool) {
	if len(key) < tableHeader+2 {
		return "", false
	}
	switch Table(key[tableHeader-1]) {
	case TableInstances, TableCustomStatus, TableActivities, TableTimersOf, TableChildren, TableCalls, TableLocks:
	default:
		return "", false
	}
	path := key[tableHeader:]
	end := 2 // behind the slot
	for range 2 {
		i := strings.IndexByte(path[end:], 0)
		if i < 0 {
			return "", false
		}
		end += i + 1
	}
	return Owner(path[:end]), true
}
