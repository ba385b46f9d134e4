package server

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// What was encoded before is, to who receives it, what would be encoded now: every part of the starts, with suggestions that
// are those of a fresh choice at any time.
func TestAnswersOfAViewAreThoseOfAFreshOne(t *testing.T) {
	t.Parallel()
	field := (&availabilityv1.GetSlotsResponse{}).ProtoReflect().Descriptor().Fields().ByName("slots")
	if field.Number() != slotsField {
		t.Fatalf("slots is field %d", field.Number())
	}
	start := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		row := store.Row{AsOf: start, LookAhead: 30 * 24 * time.Hour, State: slots.StateOK, Link: &store.Link{}}
		for _, minutes := range rapid.SliceOfN(rapid.IntRange(0, 2*24*20), 0, 40).Draw(t, "starts") {
			row.Slots = append(row.Slots, start.Add(time.Duration(minutes)*30*time.Minute))
		}
		v := newView(row, nil)
		for range rapid.IntRange(1, 6).Draw(t, "questions") {
			q := query{zone: time.UTC, zoneAsked: rapid.Bool().Draw(t, "asked")}
			if q.zoneAsked {
				zone, err := slots.Zone(rapid.SampledFrom([]string{"America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"}).Draw(t, "zone"))
				if err != nil {
					t.Fatal(err)
				}
				q.zone = zone
			}
			moment := func(name string) time.Time {
				return start.Add(time.Duration(rapid.IntRange(0, 25*24*60).Draw(t, name)) * time.Minute)
			}
			now := moment("now")
			if rapid.Bool().Draw(t, "later") {
				q.start = moment("start")
			}
			if rapid.Bool().Draw(t, "ends") {
				q.end = later(now, q.start).Add(time.Hour)
			}
			sent, err := q.answer(v, now)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := proto.Marshal(sent)
			if err != nil {
				t.Fatal(err)
			}
			got := &availabilityv1.GetSlotsResponse{}
			if err := proto.Unmarshal(raw, got); err != nil || len(got.ProtoReflect().GetUnknown()) != 0 {
				t.Fatal(err)
			}
			fresh, err := q.answer(newView(row, nil), now)
			if err != nil {
				t.Fatal(err)
			}
			want := slots.Within(v.starts, later(now, q.start), q.end)
			if len(got.GetSlots()) != len(want) || len(got.GetSuggestions()) != len(fresh.GetSuggestions()) {
				t.Fatalf("%d slots, want %d; %v, want %v", len(got.GetSlots()), len(want), got.GetSuggestions(), fresh.GetSuggestions())
			}
			for i, slot := range got.GetSlots() {
				if !slot.GetStartTime().AsTime().Equal(want[i]) || slot.GetLabel() != slots.Label(want[i], q.zone) {
					t.Fatalf("slot %d is %v, want %s", i, slot, want[i])
				}
			}
			for i, suggestion := range got.GetSuggestions() {
				if !proto.Equal(suggestion, fresh.GetSuggestions()[i]) {
					t.Fatalf("suggestion %d is %v, want %v", i, suggestion, fresh.GetSuggestions()[i])
				}
			}
		}
	})
}
