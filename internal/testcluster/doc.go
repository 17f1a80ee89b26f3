// Package testcluster runs clusters of real node processes on loopback, for
// tests and measurements that a simulation cannot replace.
//
// The node program is the test binary itself: it is started again with a
// variable in its environment, and TestMain hands over to [Main] there. So a
// node runs the very code that was tested, with the orchestrators and activities
// that the test binds, and nothing has to be built first.
//
//	func TestMain(m *testing.M) {
//		testcluster.Main(map[string]func(){"node": runNode})
//		os.Exit(heavy.Run(m))
//	}
//
// The parent's side is [Start], which gives a [Cluster] of [Node]s that can be
// killed, paused, restarted and asked: each process serves a small control port
// on loopback ([Serve]). What a process used of the machine is read from /proc
// and known on Linux only.
//
// Processes never outlive the test: they end when the pipe to their parent
// closes, and on Linux the kernel kills them with it.
package testcluster
