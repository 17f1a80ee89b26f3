package exampletest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Server is a web server that stands for what is outside of the cluster. It is safe
// for concurrent use.
type Server struct {
	t     *testing.T
	http  *httptest.Server
	ended chan struct{} // closed when the test is over

	mu    sync.Mutex // guards the fields below
	held  []*Held
	asked map[string]int // by path
}

// Serve serves the handler until the test ends.
func Serve(t *testing.T, handler http.Handler) *Server {
	s := &Server{t: t, ended: make(chan struct{}), asked: map[string]int{}}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if !s.hold(r) {
			return
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = answer.Body.WriteTo(w) // whoever asked may be gone
	}))
	t.Cleanup(s.http.Close)
	t.Cleanup(func() { close(s.ended) }) // runs first
	return s
}

// URL returns where the server is.
func (s *Server) URL() string { return s.http.URL }

// Asked returns how many requests there were for paths that begin so.
func (s *Server) Asked(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, times := range s.asked {
		if strings.HasPrefix(path, prefix) {
			n += times
		}
	}
	return n
}

// Held is a request that was done and is not answered.
type Held struct {
	t       *testing.T
	prefix  string
	by      chan string
	release chan struct{}
}

// Hold withholds the answer to the next request for a path that begins so.
func (s *Server) Hold(prefix string) *Held {
	h := &Held{t: s.t, prefix: prefix, by: make(chan string, 1), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, h)
	return h
}

// By waits until the request is there and returns the node that asks, if it says
// who it is, as outside.World does.
func (h *Held) By() string {
	h.t.Helper()
	select {
	case node := <-h.by:
		return node
	case <-Context(h.t).Done():
		h.t.Fatalf("nobody asked for %s", h.prefix)
		return ""
	}
}

// Release lets the answer go.
func (h *Held) Release() { close(h.release) }

// hold keeps a request that a test holds, and reports whether it may be answered.
func (s *Server) hold(r *http.Request) bool {
	h := s.match(r.URL.Path)
	if h == nil {
		return true
	}
	h.by <- r.UserAgent()
	select {
	case <-h.release:
		return true
	case <-r.Context().Done():
	case <-s.ended:
	}
	return false
}

// match counts a request, and returns what holds it, if anything does.
func (s *Server) match(path string) *Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[path]++
	for i, h := range s.held {
		if strings.HasPrefix(path, h.prefix) {
			s.held = append(s.held[:i:i], s.held[i+1:]...)
			return h
		}
	}
	return nil
}
