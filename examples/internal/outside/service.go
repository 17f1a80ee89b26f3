package outside

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// Service is the outside. It is safe for concurrent use; the zero value is ready.
type Service struct {
	// Happened is told what happens, in order; it may be nil.
	Happened func(effect string)

	mu      sync.Mutex // guards the fields below
	numbers map[string]int
	effects []string
}

// ServeHTTP does what is asked, once for each idempotency key, and answers with
// the number of what was done.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	key := r.Header.Get("Idempotency-Key")
	if err != nil || key == "" {
		http.Error(w, "want a short body and an Idempotency-Key", http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(s.once(key, fmt.Sprintf("%s %s", r.URL.Path, what))) // whoever asked asks again
}

func (s *Service) once(key, effect string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number, done := s.numbers[key]; done {
		return number
	}
	if s.numbers == nil {
		s.numbers = map[string]int{}
	}
	s.effects = append(s.effects, effect)
	s.numbers[key] = len(s.effects)
	if s.Happened != nil {
		s.Happened(effect)
	}
	return len(s.effects)
}

// Effects returns what has happened, in order.
func (s *Service) Effects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.effects)
}
