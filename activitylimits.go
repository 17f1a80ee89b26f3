package reprise

import (
	"errors"
	"fmt"
	"time"
)

// ActivityLimits bound how many attempts of an activity run and begin. They belong to
// who runs it: set them by [LimitActivity] where it is bound. A zero field is no limit.
type ActivityLimits struct {
	// AtOnce is how many run on this node at a time, Rate how many begin here.
	AtOnce int
	Rate   Rate
	// AtOncePerCluster is how many run at a time on all nodes that bind the activity,
	// RatePerCluster how many begin there. Each node has a share of it.
	AtOncePerCluster int
	RatePerCluster   Rate
}

// Rate is so many in a time: at most Count at once, and on average no more than Count
// in each Per.
type Rate struct {
	Count int
	Per   time.Duration
}

// LimitActivity sets the limits of an activity on this node and its share of those of the
// cluster. All nodes that bind it should say the same.
func LimitActivity[In, Out any](r *Registry, a Activity[In, Out], l ActivityLimits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := l.problem()
	if _, twice := r.limits[a.name]; twice {
		err = errors.New("limits twice")
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("limit activity %q: %w", a.name, err))
	}
	r.limits[a.name] = l
}

func (l ActivityLimits) problem() error {
	for _, n := range []int{l.AtOnce, l.AtOncePerCluster, l.Rate.Count, l.RatePerCluster.Count} {
		if n < 0 {
			return fmt.Errorf("the limit %d is below 0", n)
		}
	}
	for _, rate := range []Rate{l.Rate, l.RatePerCluster} {
		if rate.Count > 0 != (rate.Per > 0) {
			return fmt.Errorf("a rate of %d in %v; both are above 0, or neither", rate.Count, rate.Per)
		}
	}
	return nil
}

// Limits returns the limits of an activity.
func (r *Registry) Limits(activity string) ActivityLimits {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits[activity]
}
