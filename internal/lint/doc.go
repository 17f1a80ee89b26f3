// Package lint holds the house rules that a machine can check, and the test
// that checks them: which package may import which, what the pure core must not
// call, that every package explains itself, that files stay rooms of one purpose,
// that nothing is left half done.
//
// The rules read syntax only: [Load] parses a tree of Go files, [Tree.Check]
// returns what breaks a rule. The tree is an [io/fs.FS], so that the rules' own
// tests plant violations in trees that exist only in memory.
package lint
