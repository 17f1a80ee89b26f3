package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// An episode whose history does not fit into a message is none that is asked for again and
// again: the instance waits, and says for what, until a node that binds the code leads it.
func TestEpisodeTooLongToLend(t *testing.T) {
	past := make([]history.Event, 5)
	for i := range past {
		past[i] = history.Event{ID: history.NoID, Body: &history.EventRaised{Name: "go", Input: make(history.Payload, history.MaxPayloadBytes)}}
	}
	_, err := new(episodes).remote(t.Context(), "b", leader.EpisodeRequest{
		Name: "eternal", History: func(context.Context) ([]history.Event, error) { return past, nil },
	})
	if !errors.Is(err, leader.ErrUnbound) || !errors.Is(err, peer.ErrTooLong) || !strings.Contains(err.Error(), "node b binds") {
		t.Error(err)
	}
}

// So for what it decides.
func TestDecisionsTooLongToLend(t *testing.T) {
	for carried, fits := range map[int]bool{2: true, 5: false} {
		episode := history.Episode{Decided: []history.Event{{Body: &history.ExecutionCompleted{Status: history.ContinuedAsNew}}}}
		for range carried {
			episode.Carried = append(episode.Carried, &history.EventRaised{Name: "go", Input: make(history.Payload, history.MaxPayloadBytes)})
		}
		b, err := encodeEpisode(episode)
		if err != nil || len(b) > peer.MaxMessageBytes {
			t.Fatalf("an answer of %d bytes, %v", len(b), err)
		}
		got, err := decodeEpisode(b, "b", "eternal")
		switch {
		case fits && (err != nil || len(got.Carried) != carried):
			t.Errorf("%d payloads: %v", carried, err)
		case !fits && (!errors.Is(err, leader.ErrUnbound) || !errors.Is(err, peer.ErrTooLong) || !strings.Contains(err.Error(), "node b binds")):
			t.Errorf("%d payloads: %v", carried, err)
		}
	}
}
