// Package heavy keeps test binaries that load the whole machine from running
// against each other.
//
// The go command runs the tests of several packages at once. Most do not mind; a
// package that starts node processes, or simulates an hour of cluster life, does:
// on two cores two of them make each other's clocks meaningless. Such a package
// has
//
//	func TestMain(m *testing.M) { os.Exit(heavy.Run(m)) }
//
// and then at most one of them runs at a time, on a machine, for a user.
package heavy
