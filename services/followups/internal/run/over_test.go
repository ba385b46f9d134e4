package run

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/store"
)

// awayCalendar answers no offer.
type awayCalendar struct {
	availabilityv1.AvailabilityServiceClient
	asked int
}

func (a *awayCalendar) OfferSlots(context.Context, *availabilityv1.OfferSlotsRequest, ...grpc.CallOption) (*availabilityv1.OfferSlotsResponse, error) {
	a.asked++
	return nil, apierr.Unavailable("away", nil)
}

// A question that fails in the last moment of a run says nothing about availability: the time was over, which another call of the
// same run, with time of its own, must not take for an outage. With time left it does.
func TestTheEndOfARunIsNoOutage(t *testing.T) {
	t.Parallel()
	for left, away := range map[time.Duration]bool{40 * time.Millisecond: false, time.Hour: true, -time.Second: false} {
		calendar, id := &awayCalendar{}, uuid.New()
		p := &pass{Runner: New(Config{Availability: calendar}), workspaces: map[uuid.UUID]*workspace{id: {Workspace: learn.Workspace{ZoneName: "UTC"}}}}
		w := &work{lead: &followup.Lead{}, item: store.Item{
			Enrollment: followup.Enrollment{ID: uuid.New(), Workspace: id, Lead: uuid.New(), Position: 1}, Step: &followup.Step{Channel: followup.SMS, BodyTemplate: "{availability}"},
		}}
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(left))
		for range 2 {
			if _, ok := p.offer(ctx, w); ok {
				t.Fatal("an offer from nobody")
			}
		}
		cancel()
		if got := p.workspaces[id].slotsAway; got != away {
			t.Errorf("with %s left: away = %t", left, got)
		}
		if want := map[bool]int{true: 1, false: 2}[away]; calendar.asked != want {
			t.Errorf("with %s left: asked %d times, want %d", left, calendar.asked, want)
		}
	}
}
