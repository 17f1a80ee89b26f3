package lint

import (
	"fmt"
	"go/ast"
	"strconv"
)

// purePackages get time as a value and know no machine: same input, same output.
var purePackages = []string{"engine/...", "partition"}

// impureImports are refused in the pure core, each with its reason.
var impureImports = map[string]string{
	"math/rand":    "randomness comes in as a value",
	"math/rand/v2": "randomness comes in as a value",
	"crypto/rand":  "randomness comes in as a value",
	"os":           "it knows no machine",
	"os/exec":      "it knows no machine",
	"net":          "it knows no network",
	"net/http":     "it knows no network",
	"syscall":      "it knows no machine",
	"sync":         "it has one owner",
	"sync/atomic":  "it has one owner",
}

// impureCalls are functions of package time that read or wait for a clock.
var impureCalls = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true,
	"AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true,
}

// pure reports whether the file belongs to the pure core. Its tests do not.
func pure(f *file) bool { return !f.test && match(purePackages, f.pkg) }

func (t *Tree) checkPureCore() []Finding {
	var found []Finding
	for _, f := range t.files {
		if !pure(f) {
			continue
		}
		clock := "" // what this file calls package time
		for _, spec := range f.syntax.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has checked it
			}
			if why, bad := impureImports[target]; bad {
				found = append(found, Finding{f.path, t.line(spec), fmt.Sprintf("the pure core must not import %s: %s", target, why)})
			}
			if target == "time" {
				clock = "time"
				if spec.Name != nil {
					clock = spec.Name.Name
				}
			}
		}
		if clock == "." {
			found = append(found, Finding{File: f.path, Message: "the pure core must not import package time with a dot: calls of the clock could not be seen"})
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found = append(found, Finding{f.path, t.line(n), "the pure core must not start goroutines"})
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && impureCalls[n.Sel.Name] {
					found = append(found, Finding{f.path, t.line(n), fmt.Sprintf("the pure core must not use time.%s: time comes in as a value", n.Sel.Name)})
				}
			}
			return true
		})
	}
	return found
}
