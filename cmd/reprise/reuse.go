package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

const reuseUsage = "`POLICY` where an instance has the ID: keep-in, refuse-any, replace-any or replace-in:STATUS,... (see above)"

// parseReuse reads the flag --reuse.
func parseReuse(text string) (client.Reuse, error) {
	policy, list, limited := strings.Cut(text, ":")
	var statuses []history.Status
	if limited {
		for name := range strings.SplitSeq(list, ",") {
			s, err := parseFoundStatus(name)
			if err != nil {
				return client.Reuse{}, usage("--reuse %q: %w", text, err)
			}
			statuses = append(statuses, s)
		}
	}
	switch {
	case policy == "keep-in":
		return client.KeepIn(statuses...), nil
	case policy == "replace-in" && limited:
		return client.ReplaceIn(statuses...), nil
	case policy == "replace-in":
		return client.Reuse{}, usage("--reuse %s: it wants the statuses in which an instance is replaced, as in replace-in:Completed,Failed; replace-any replaces whatever there is", policy)
	case (policy == "refuse-any" || policy == "replace-any") && limited:
		return client.Reuse{}, usage("--reuse %q: %s takes no statuses; keep-in and replace-in do", text, policy)
	case policy == "refuse-any":
		return client.RefuseAny(), nil
	case policy == "replace-any":
		return client.ReplaceAny(), nil
	}
	return client.Reuse{}, usage("--reuse %q: keep-in, refuse-any, replace-any and replace-in:STATUS,... are possible", text)
}

// foundStatuses are those in which a start may find an instance.
var foundStatuses = []history.Status{history.Pending, history.Running, history.Suspended, history.Completed, history.Failed, history.Canceled, history.Terminated}

func parseFoundStatus(name string) (history.Status, error) {
	var known []string
	for _, s := range foundStatuses {
		if strings.EqualFold(name, s.String()) {
			return s, nil
		}
		known = append(known, s.String())
	}
	return 0, fmt.Errorf("no instance has status %q; it may be %s", name, strings.Join(known, ", "))
}

// howToReuse adds to the error of a start whose ID is taken what can be done.
func howToReuse(err error) error {
	if !errors.Is(err, client.ErrExists) {
		return err
	}
	return fmt.Errorf("%w; with --reuse keep-in nothing is started and the one that is there is taken, with --reuse replace-any it is ended and replaced", err)
}
