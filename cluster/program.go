package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
)

// program identifies the program that this process runs, by the content of its file;
// empty where that cannot be read. Two processes of one program have the same code:
// what did not yield in one of them is not run again because the other one came.
var program = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
})

// isNewProgram reports whether no process of a program, which a node tells that it
// runs, was known here before. A node that does not tell may run any.
func (n *Node) isNewProgram(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id == "" {
		return true
	}
	seen := n.programs[id] || id == n.program()
	n.programs[id] = true
	return !seen
}

// program identifies the program of this node.
func (n *Node) program() string {
	if n.cfg.Program != "" {
		return n.cfg.Program
	}
	return program()
}
