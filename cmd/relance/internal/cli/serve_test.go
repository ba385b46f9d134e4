package cli

import (
	"testing"
	"time"
)

// `serve all` obeys the variables of the single roles, and refuses what it cannot read.
func TestServeAllReadsTheRolesVariables(t *testing.T) {
	t.Setenv("RELANCE_SYNC_SEND_SETTLE", "20m")
	t.Setenv("RELANCE_SYNC_GHL_CLIENT_ID", "app")
	t.Setenv("RELANCE_FOLLOWUPS_MAX_ATTEMPTS", "7")
	t.Setenv("RELANCE_AVAILABILITY_TTL", "90s")
	t.Setenv("RELANCE_GATEWAY_CALL_TIMEOUT", "12s")
	got, err := settings()
	if err != nil {
		t.Fatal(err)
	}
	if got.Sync.SendSettle != 20*time.Minute || got.Sync.GHLClientID != "app" || got.Sync.SendWrite != 5*time.Second ||
		got.FollowUps.MaxAttempts != 7 || got.Availability.TTL != 90*time.Second || got.Gateway.CallTimeout != 12*time.Second {
		t.Errorf("settings: %+v", got)
	}
	t.Setenv("RELANCE_SYNC_SEND_SETTLE", "soon")
	if _, err := settings(); err == nil {
		t.Error("a duration of \"soon\" was taken")
	}
}
