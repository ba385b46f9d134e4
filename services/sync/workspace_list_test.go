package sync_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// Whoever knows all workspaces asks only for those that changed since; the agency is one of the things that change.
func TestWorkspacesThatChangedSince(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	admin := syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindAdmin}))
	own, other := r.tenant(location), r.tenant("locationBirch000001")
	changed := func(since time.Time) map[string]string {
		t.Helper()
		list, err := admin.ListWorkspaces(t.Context(), &syncv1.ListWorkspacesRequest{UpdatedSince: timestamppb.New(since)})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, w := range list.GetWorkspaces() {
			out[w.GetName()] = w.GetAgency()
		}
		return out
	}
	if got := changed(r.clock.Now()); len(got) != 2 || got[own.name] != "" || got[other.name] != "" {
		t.Fatalf("control: %v", got)
	}
	r.clock.Advance(time.Hour)
	if got := changed(r.clock.Now()); len(got) != 0 {
		t.Fatalf("nothing changed: %v", got)
	}
	update := func(agency string) error {
		_, err := admin.UpdateWorkspace(t.Context(), &syncv1.UpdateWorkspaceRequest{
			Workspace: &syncv1.Workspace{Name: own.name, Agency: agency}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"agency"}},
		})
		return err
	}
	if err := update("North & Partners"); err != nil {
		t.Fatal(err)
	}
	if got := changed(r.clock.Now()); len(got) != 1 || got[own.name] != "North & Partners" {
		t.Errorf("one changed: %v", got)
	}
	rpctest.RequireError(t, update(strings.Repeat("x", 101)), codes.InvalidArgument, "")
}
