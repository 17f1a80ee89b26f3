package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The leader of a child dies while the child installs. The parent, on whatever
// node, gets its result all the same, and nothing is done twice or out of order.
func TestParentHearsOfItsChildren(t *testing.T) {
	var world outside.Service
	server := exampletest.Serve(t, &world)
	c := exampletest.Start(t, server)
	ctx := exampletest.Context(t)

	installing := server.Hold("/asia/install")
	release := Release{"1.2", []string{"faroe", "europe", "asia", "mars", "africa"}}
	h, err := client.Run(ctx, c.Client, Rollout, release, client.WithID("rollout"))
	if err != nil {
		t.Fatal(err)
	}
	installing.By()
	c.KillLeader(deployID(h.ID(), "asia"))
	installing.Release()

	report, err := h.Result(ctx)
	exampletest.Equal(t, report, Report{
		Installed: []string{"faroe", "europe", "asia", "africa"},
		Failed:    map[string]string{"mars": "children.drain: " + ErrNoNetwork.Error()},
	}, err)
	for _, region := range report.Installed {
		var did []string
		for _, effect := range world.Effects() {
			if strings.HasPrefix(effect, "/"+region+"/") {
				did = append(did, effect)
			}
		}
		exampletest.Equal(t, did, []string{"/" + region + `/drain "1.2"`, "/" + region + `/install "1.2"`, "/" + region + `/open "1.2"`}, nil)
	}
	mars := client.Attach(c.Client, Deploy, deployID(h.ID(), "mars"))
	if _, err := mars.Result(ctx); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("the child itself tells %v, want %v", err, ErrNoNetwork)
	}

	// Where the region that goes ahead fails, nothing else is touched.
	h, err = client.Run(ctx, c.Client, Rollout, Release{"1.3", []string{"mars", "asia"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Result(ctx); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("error %v, want %v", err, ErrNoNetwork)
	}
	for _, effect := range world.Effects() {
		if strings.Contains(effect, "1.3") {
			t.Errorf("it happened: %s", effect)
		}
	}
}
