package reprise

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Version returns the descriptor of one version of the orchestration. Started by it, an
// instance has that version; bound to it, a function runs the instances of that version,
// beside those that are bound to others:
//
//	var Fulfil = reprise.NewOrchestration[Order, Receipt]("order.fulfil").Version("2.0")
//
//	reprise.Bind(r, Fulfil, fulfil)
//	reprise.Bind(r, Fulfil.Version("1.0"), fulfilOld)
//
// See [CompareVersions] for how versions compare, and [Matching] for which function runs
// an instance whose version nobody binds.
func (d Orchestrator[In, Out]) Version(version string) Orchestrator[In, Out] {
	d.version = version
	return d
}

// VersionName returns the version of the descriptor; empty where it has none.
func (d Orchestrator[In, Out]) VersionName() string { return d.version }

// Version returns the version of the instance, which its start gave it; empty where it
// has none. It stays when the orchestration continues as new, unless [NextVersion] says
// otherwise.
func (o *Orchestration) Version() string { return o.h.Started().Version }

// Matching says which instances a bound version runs.
type Matching uint8

const (
	// Strict: those of the same version. The default.
	Strict Matching = iota
	// CurrentOrOlder: those of the same version, and those of older versions that
	// nobody binds. An instance without a version is older than all.
	CurrentOrOlder
)

// WithMatching sets which instances the versions run that are bound in the registry. A
// function that is bound without a version runs what no version matches, in both cases.
// An instance that nothing matches waits, visibly, until it is.
func WithMatching(m Matching) RegistryOption { return func(r *Registry) { r.matching = m } }

// CompareVersions compares versions part by part, the parts being separated by dots:
// two numbers as numbers, anything else as text, a number before a text. What is missing
// is 0, so 1.0 and 1 are the same.
func CompareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := comparePart(part(as, i), part(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

// checkVersion returns what is wrong with a version; there may be none.
func checkVersion(version string) error {
	if err := history.ValidateName(version); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	return nil
}

func part(parts []string, i int) string {
	if i < len(parts) && parts[i] != "" {
		return parts[i]
	}
	return "0"
}

func comparePart(a, b string) int {
	n, aNumber := number(a)
	m, bNumber := number(b)
	switch {
	case aNumber && bNumber:
		return n.Cmp(m)
	case aNumber:
		return -1
	case bNumber:
		return 1
	}
	return cmp.Compare(a, b)
}

func number(text string) (*big.Int, bool) {
	if strings.Trim(text, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(text, 10)
}

// bound is a function that is bound to one version.
type bound struct {
	version string
	program engine.Program
}

// bindVersion binds a function to a version. Call with mu held.
func (r *Registry) bindVersion(name, version string, program engine.Program) {
	all := append(r.versions[name], bound{version, program})
	slices.SortFunc(all, func(a, b bound) int { return CompareVersions(a.version, b.version) })
	r.versions[name] = all
}

// versionTaken reports whether a version of an orchestration is bound. Call with mu held.
func (r *Registry) versionTaken(name, version string) bool {
	return slices.ContainsFunc(r.versions[name], func(b bound) bool { return CompareVersions(b.version, version) == 0 })
}

// OrchestratorOf returns the program that runs instances of a version. Otherwise the
// error says which versions are bound.
func (r *Registry) OrchestratorOf(name, version string) (engine.Program, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.versions[name]
	if version != "" {
		for _, b := range all {
			if CompareVersions(b.version, version) == 0 {
				return b.program, nil
			}
		}
	}
	if r.matching == CurrentOrOlder {
		for _, b := range all { // the oldest that is not older than it
			if version == "" || CompareVersions(b.version, version) > 0 {
				return b.program, nil
			}
		}
	}
	if p, ok := r.orchestrators[name]; ok {
		return p, nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%q is not bound", name)
	}
	var known []string
	for _, b := range all {
		known = append(known, b.version)
	}
	return nil, fmt.Errorf("%q is not bound in version %q; it is in %s", name, version, strings.Join(known, ", "))
}

// Versions returns the versions of orchestrators that are bound, each as "name@version",
// sorted by name.
func (r *Registry) Versions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for name, versions := range r.versions {
		for _, b := range versions {
			all = append(all, name+"@"+b.version)
		}
	}
	slices.Sort(all)
	return all
}
