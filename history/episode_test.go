package history

import (
	"reflect"
	"testing"
	"time"
)

// What the leader records is all that the node which ran the episode decided: no
// field is left out.
func TestEpisodesTravelWhole(t *testing.T) {
	whole := Episode{
		Decided:        every(),
		CustomStatus:   Payload(`"halfway"`),
		Tags:           map[string]string{"stage": "paid", "": ""},
		Awaits:         []string{"approved", "rejected"},
		Buffered:       3,
		Carried:        []*EventRaised{{Name: "approved", Input: Payload(`1`)}, {Name: "Rejected"}},
		Cancel:         &ExecutionCancelRequested{Reason: "enough"},
		CarriedUpdates: []*UpdateRequested{{Request: "r", Name: "raise"}},
		Updates:        []string{"raise"},
		Taken:          []TakenEvent{{7, "approved", time.Unix(1, 0).UTC(), Trace{"00-1", "a=1"}}, {Number: 9}},
		Unrecorded:     []Unrecorded{{Index: 2, Failure: &Failure{Message: "no"}}, {Index: 4}},
	}
	v := reflect.ValueOf(whole)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test leaves %s out", v.Type().Field(i).Name)
		}
	}
	for _, e := range []Episode{whole, {}, {Tags: map[string]string{}}} {
		got, err := DecodeEpisode(EncodeEpisode(e))
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Decided) == 0 {
			got.Decided = nil
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v\nwant %+v", got, e)
		}
	}
	if _, err := DecodeEpisode(EncodeEpisode(whole)[:40]); err == nil {
		t.Error("half an episode is one")
	}
}
