// Command fanout shows work that is dealt out and gathered again.
//
//	go run ./examples/fanout            # this directory's Go files
//	go run ./examples/fanout some/dir
//
// One activity for each file counts its lines and words; the cluster runs them on
// all nodes at once. A file that cannot be had now is attempted again; one that
// does not exist is told in the result, and the others count. The orchestration
// takes each result as it comes and shows how far it is in its custom status.
//
// Results that were recorded before a node dies are not computed again:
// main_test.go counts the requests.
package main
