package lint

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// maxLines is the longest that a hand-written file may be. A file near it is
// two rooms already.
const maxLines = 600

// unfinished are words that promise work; the work is done or told in an issue.
var unfinished = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}, "|") + `)\b`)

// checkDocs wants a doc.go with a package comment in every package, and no
// second package comment elsewhere.
func (t *Tree) checkDocs() []Finding {
	explained := map[string]bool{}
	var order []string
	var found []Finding
	for _, f := range t.files {
		if _, seen := explained[f.pkg]; !seen {
			explained[f.pkg] = false
			order = append(order, f.pkg)
		}
		doc := f.syntax.Doc.Text()
		switch {
		case path.Base(f.path) == "doc.go":
			explained[f.pkg] = true
			want := "Package " + f.syntax.Name.Name + " "
			if f.syntax.Name.Name == "main" {
				want = "Command " + path.Base(f.pkg) + " "
			}
			if !strings.HasPrefix(strings.ReplaceAll(doc, "\n", " "), want) {
				found = append(found, Finding{File: f.path, Line: 1, Message: fmt.Sprintf("the package comment must begin with %q", strings.TrimSpace(want))})
			}
		case doc != "" && !f.generated && !f.test:
			found = append(found, Finding{File: f.path, Line: 1, Message: "the package comment belongs into doc.go (or put an empty line before the package clause)"})
		}
	}
	for _, pkg := range order {
		if !explained[pkg] {
			found = append(found, Finding{File: pkg, Message: "the package has no doc.go"})
		}
	}
	return found
}

func (t *Tree) checkSize() []Finding {
	var found []Finding
	for _, f := range t.files {
		if !f.generated && f.lines > maxLines {
			found = append(found, Finding{File: f.path, Message: fmt.Sprintf("%d lines; a file is a room of one purpose and has at most %d", f.lines, maxLines)})
		}
	}
	return found
}

func (t *Tree) checkUnfinished() []Finding {
	var found []Finding
	for _, f := range t.files {
		if f.generated {
			continue
		}
		for _, group := range f.syntax.Comments {
			for _, c := range group.List {
				if word := unfinished.FindString(c.Text); word != "" {
					found = append(found, Finding{File: f.path, Line: t.line(c), Message: "a comment says " + word + ": do it, or open an issue"})
				}
			}
		}
	}
	return found
}
