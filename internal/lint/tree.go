package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strings"
)

// Finding is a place that breaks a rule.
type Finding struct {
	File    string // path from the module's root; a directory where no file is to blame
	Line    int    // 0 where the whole file or directory is meant
	Message string
}

func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// Tree is the parsed Go source of a module.
type Tree struct {
	module string
	files  []*file
	fset   *token.FileSet
}

// file is one Go file. Build constraints are not looked at: the rules hold for
// every platform.
type file struct {
	path      string // from the module's root, with slashes
	pkg       string // directory, "." for the root
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
}

var (
	moduleLine    = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	generatedLine = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// Load parses every Go file of the module whose root is fsys. Hidden
// directories, testdata and directories that begin with an underscore are left
// out, as the go command does.
func Load(fsys fs.FS) (*Tree, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("find the module's name: %w", err)
	}
	name := moduleLine.FindSubmatch(mod)
	if name == nil {
		return nil, fmt.Errorf("find the module's name: go.mod has no module line")
	}
	t := &Tree{module: string(name[1]), fset: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		return t.add(fsys, p)
	})
	if err != nil {
		return nil, fmt.Errorf("load the module's Go files: %w", err)
	}
	sort.Slice(t.files, func(i, j int) bool { return t.files[i].path < t.files[j].path })
	return t, nil
}

func (t *Tree) add(fsys fs.FS, p string) error {
	src, err := fs.ReadFile(fsys, p)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(t.fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.files = append(t.files, &file{
		path:      p,
		pkg:       path.Dir(p),
		test:      strings.HasSuffix(p, "_test.go"),
		generated: generatedLine.Match(src),
		lines:     bytes.Count(src, []byte("\n")),
		syntax:    syntax,
	})
	return nil
}

// Check returns everything that breaks a rule, in the order of the files.
func (t *Tree) Check() []Finding {
	var found []Finding
	found = append(found, t.checkImports()...)
	found = append(found, t.checkPureCore()...)
	found = append(found, t.checkDocs()...)
	found = append(found, t.checkSize()...)
	found = append(found, t.checkUnfinished()...)
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].File != found[j].File {
			return found[i].File < found[j].File
		}
		return found[i].Line < found[j].Line
	})
	return found
}

func (t *Tree) line(n ast.Node) int { return t.fset.Position(n.Pos()).Line }
