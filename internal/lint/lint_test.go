package lint

import (
	"os"
	"testing"
)

// TestHouseRules checks this module itself.
func TestHouseRules(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 10 {
		t.Fatalf("only %d Go files found: the rules looked at the wrong tree", len(tree.files))
	}
	for _, f := range tree.Check() {
		t.Error(f)
	}
}
