package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/durablehttp"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Film struct {
		Title   string
		Service string // URL of the renderer
	}
	Rendered struct{ File string }
)

var Render = reprise.NewOrchestration[Film, Rendered]("durablehttp.render")

func render(o *reprise.Orchestration, film Film) (Rendered, error) {
	return durablehttp.JSON[Film, Rendered](o, durablehttp.Request{
		Method:  "POST",
		URL:     film.Service + "/films",
		Polling: durablehttp.Polling{Interval: 200 * time.Millisecond}, // where the service asks for no other
	}, film)
}

func bind(r *reprise.Registry, _ outside.World) {
	reprise.Bind(r, Render, render)
	// A real configuration names "renderer.example.com", and no private addresses.
	err := durablehttp.Bind(r, durablehttp.Config{AllowedHosts: []string{"127.0.0.1"}, AllowPrivate: []string{"127.0.0.1"}})
	if err != nil {
		panic(err) // of the two names in the line above
	}
}

// renderer is the other service. A film is ready at the third question.
type renderer struct {
	mu    sync.Mutex
	films map[string]string // locations by idempotency key
	asked map[string]int    // by location
}

func (s *renderer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := r.URL.Path
	if r.Method == http.MethodPost {
		key := r.Header.Get("Idempotency-Key")
		if s.films[key] == "" {
			s.films[key] = fmt.Sprintf("/films/%d", len(s.films)+1)
		}
		at = s.films[key]
	} else {
		s.asked[at]++
	}
	if s.asked[at] < 3 {
		w.Header().Set("Location", at)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Rendered{at + ".mp4"}) // whoever asked asks again
}

func newRenderer() *renderer {
	return &renderer{films: map[string]string{}, asked: map[string]int{}}
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		h, err := client.Run(ctx, c, Render, Film{"Playtime", local.Serve(newRenderer())})
		if err != nil {
			return err
		}
		film, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Println("rendered:", film.File)
		return nil
	})
}
