package learn

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
)

// Connections is the part of sync that knows the connections of workspaces.
type Connections interface {
	GetConnectionHealth(ctx context.Context, in *syncv1.GetConnectionHealthRequest, opts ...grpc.CallOption) (*syncv1.GetConnectionHealthResponse, error)
}

// Setup learns how a workspace is set up. It is safe for concurrent use.
type Setup struct {
	// Sync is asked.
	Sync Connections
}

const (
	ghl          = "ghl"
	notConnected = "PROVIDER_NOT_CONNECTED"
	revoked      = "PROVIDER_AUTH_REVOKED"
)

// senders are the providers through which emails leave beside GoHighLevel.
func senders() []string { return []string{"emailbison", "smartlead", "instantly"} }

// Closed are the channels on which a workspace cannot send, with sync's reason for it. A channel is left out when one of
// its providers can send, or when it cannot be told.
func (s Setup) Closed(ctx context.Context, workspace uuid.UUID) map[followup.Channel]string {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out := map[followup.Channel]string{}
	texts, known := s.closed(ctx, workspace, ghl)
	if !known || texts == "" {
		return out
	}
	out[followup.SMS] = texts
	emails := texts
	for _, provider := range senders() {
		reason, known := s.closed(ctx, workspace, provider)
		if !known || reason == "" {
			return out
		}
		if reason == revoked {
			emails = revoked
		}
	}
	out[followup.Email] = emails
	return out
}

// closed is why a provider's connection cannot send; empty when it can, or may soon. It reports false when it is not known.
func (s Setup) closed(ctx context.Context, workspace uuid.UUID, provider string) (reason string, known bool) {
	resp, err := s.Sync.GetConnectionHealth(ctx, &syncv1.GetConnectionHealthRequest{Parent: name.Workspace(workspace), Provider: provider})
	switch {
	case apierr.Reason(err) == notConnected:
		return notConnected, true
	case err != nil:
		return "", false
	}
	switch resp.GetConnection().GetState() {
	case syncv1.ConnectionState_CONNECTION_STATE_AUTH_REVOKED, syncv1.ConnectionState_CONNECTION_STATE_RECONNECT_NEEDED:
		return revoked, true
	}
	return "", true
}
