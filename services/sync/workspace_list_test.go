package sync_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

// TestAWorkspaceIsMadeWithItsConnectionOrNotAtAll: a connection that is refused leaves no workspace behind, and the same request with a
// right one makes it.
func TestAWorkspaceIsMadeWithItsConnectionOrNotAtAll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	taken := r.tenant("locationTaken000001")
	before := r.count(`SELECT count(*) FROM workspace`)
	req := func(c *syncv1.Connection) *syncv1.CreateWorkspaceRequest {
		return &syncv1.CreateWorkspaceRequest{
			RequestId: "0b7e1f0a-5a5e-4a1e-9b7e-1f0a5a5e4a1e", Workspace: &syncv1.Workspace{DisplayName: "Acme", TimeZone: "America/New_York"}, Connection: c,
		}
	}
	for name, c := range map[string]*syncv1.Connection{
		"no token":    {Location: "locationFresh000001"},
		"short token": {Location: "locationFresh000001", Token: "x"},
		"no location": {Token: "pit-0123456789"},
		"a grant":     {Location: "locationFresh000001", OauthCode: "code-0123456789"},
		"another's":   {Provider: "calendly", Token: "pit-0123456789"},
	} {
		_, err := r.admin.CreateWorkspace(t.Context(), req(c))
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := r.admin.CreateWorkspace(t.Context(), req(&syncv1.Connection{Location: "locationTaken000001", Token: "pit-0123456789"}))
	rpctest.RequireError(t, err, codes.AlreadyExists, "LOCATION_IN_USE")
	if n := r.count(`SELECT count(*) FROM workspace`); n != before {
		t.Errorf("%d workspaces are left of refused ones", n-before)
	}
	made, err := r.admin.CreateWorkspace(t.Context(), req(&syncv1.Connection{Location: "locationFresh000001", Token: "pit-0123456789"}))
	if err != nil || made.GetExisted() || made.GetWorkspace().GetGhlLocation() != "locationFresh000001" {
		t.Fatalf("made: %v %v", made, err)
	}
	again, err := r.admin.CreateWorkspace(t.Context(), req(&syncv1.Connection{Location: "locationFresh000001", Token: "pit-9876543210"}))
	if err != nil || !again.GetExisted() || again.GetWorkspace().GetName() != made.GetWorkspace().GetName() {
		t.Errorf("again: %v %v", again, err)
	}
	if n := r.count(`SELECT count(*) FROM connection WHERE state = 'CONNECTED'`); n != 2 || taken.name == made.GetWorkspace().GetName() {
		t.Errorf("%d connections", n)
	}
}
