// Package exampletest runs an example on three node processes, so that its test can
// kill one in the middle.
//
// The test binary is also the node program (internal/testcluster), with what the
// example binds:
//
//	func TestMain(m *testing.M) { exampletest.Main(m, bind) }
//
// What the activities ask of the world goes to a web server in the test's own
// process, which outlives every node. It can hold an answer back: then a step has
// been done, nobody in the cluster knows, and that is the moment to kill a node.
//
//	world := exampletest.Serve(t, &outside.Service{})
//	c := exampletest.Start(t, world)
//	charge := world.Hold("/charges")
//	// … start the orchestration …
//	c.Kill(charge.By()) // the node that charged
//	charge.Release()
package exampletest
