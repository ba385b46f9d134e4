package learn

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/snooze"
)

// replyTimeout is how long the text of a reply is waited for: the reply itself must not wait for its date.
const replyTimeout = 2 * time.Second

// Reply is a message that a lead wrote.
type Reply struct {
	Workspace, Lead uuid.UUID
	// Message is its name in sync; without one there is no text.
	Message string
	// Time is when it came: dates are read from there.
	Time time.Time
}

// Snooze is the date at which a reply asks to be written to again, in the lead's zone; zero for none, also when there is no such
// message. It reports false when sync did not answer, and the date is not known yet.
func (r Reader) Snooze(ctx context.Context, reply Reply) (time.Time, bool) {
	if reply.Message == "" {
		return time.Time{}, true
	}
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	resp, err := r.Sync.GetMessage(ctx, &syncv1.GetMessageRequest{Name: reply.Message})
	if err != nil {
		return time.Time{}, apierr.Code(err) == codes.NotFound
	}
	text := resp.GetMessage().GetBody()
	if _, ok := snooze.Date(text, reply.Time, time.UTC); !ok {
		return time.Time{}, true // without a date nobody need be asked for a zone
	}
	zone, ok := r.LeadZone(ctx, reply.Workspace, reply.Lead)
	if !ok {
		return time.Time{}, false
	}
	if zone == nil {
		zone = time.UTC
	}
	date, _ := snooze.Date(text, reply.Time, zone)
	return date, true
}

// LeadZone is the lead's zone, or the workspace's; nil when neither is known. It reports false when sync did not answer.
func (r Reader) LeadZone(ctx context.Context, workspace, lead uuid.UUID) (*time.Location, bool) {
	leads, ok := r.Leads(ctx, workspace, []uuid.UUID{lead})
	if known := leads[lead]; known != nil && known.Zone != nil {
		return known.Zone, true
	}
	if !ok {
		return nil, false
	}
	known, ok := r.Workspace(ctx, workspace)
	return known.Zone, ok
}
