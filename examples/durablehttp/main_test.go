package main

import (
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The leader dies when the renderer has begun and nobody knows. The film is rendered
// once, and its end is heard.
func TestRenderedOnce(t *testing.T) {
	films := newRenderer()
	service := exampletest.Serve(t, films)
	c := exampletest.Start(t, nil)
	ctx := exampletest.Context(t)

	begun := service.Hold("/films")
	h, err := client.Run(ctx, c.Client, Render, Film{"Playtime", service.URL()})
	if err != nil {
		t.Fatal(err)
	}
	begun.By()
	c.KillLeader(h.ID())
	begun.Release()

	film, err := h.Result(ctx)
	exampletest.Equal(t, film, Rendered{"/films/1.mp4"}, err)
	films.mu.Lock()
	defer films.mu.Unlock()
	if n := len(films.films); n != 1 {
		t.Errorf("%d films were rendered, want 1", n)
	}
}
