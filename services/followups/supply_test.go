package followups_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// TestActivationNeedsWhatTheWorkspaceLacks activates a sequence that needs a value, a calendar and both channels, in a
// workspace that has none of it, and then has it.
func TestActivationNeedsWhatTheWorkspaceLacks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.availability.err = apierr.New(codes.FailedPrecondition, "availability.relance.dev", "NO_DEFAULT_CALENDAR", "none")
	w.sync.connections = map[string]syncv1.ConnectionState{}
	seq := &followupsv1.Sequence{DisplayName: "needy", Steps: []*followupsv1.SequenceStep{
		sms("{senderName}: {availability}?", 0, 0), email("S", "{calendarLink}", 1),
	}}
	created, err := w.admin.CreateSequence(t.Context(), &followupsv1.CreateSequenceRequest{Parent: w.workspace, Sequence: seq})
	if err != nil {
		t.Fatalf("an inactive one may need what is not there: %v", err)
	}
	name := created.GetSequence().GetName()
	activate := func() error {
		_, err := w.admin.UpdateSequence(t.Context(), &followupsv1.UpdateSequenceRequest{
			Sequence: &followupsv1.Sequence{Name: name, Active: true}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"active"}},
		})
		return err
	}
	e := rpctest.RequireError(t, activate(), codes.FailedPrecondition, "SEQUENCE_INVALID")
	if e.Metadata["violations"] != "5" || len(e.Violations) != 5 {
		t.Fatalf("%+v", e.Violations)
	}
	for _, v := range e.Violations {
		if !strings.HasPrefix(v.Field, "sequence.steps[") || !strings.Contains(v.Description, "to mend it: ") {
			t.Errorf("%+v", v)
		}
	}
	active := &followupsv1.Sequence{DisplayName: "other", Active: true, Steps: seq.GetSteps()}
	_, err = w.admin.CreateSequence(t.Context(), &followupsv1.CreateSequenceRequest{Parent: w.workspace, Sequence: active})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "SEQUENCE_INVALID")
	valid, err := w.admin.ValidateSequence(t.Context(), &followupsv1.ValidateSequenceRequest{Parent: w.workspace, Sequence: seq})
	if err != nil || len(valid.GetViolations()) != 5 || valid.GetViolations()[0].GetStepId() != "step-1" {
		t.Fatalf("%v, %v", valid.GetViolations(), err)
	}

	// An email sender alone opens one of the channels.
	w.sync.connections = map[string]syncv1.ConnectionState{"smartlead": syncv1.ConnectionState_CONNECTION_STATE_CONNECTED}
	if e := rpctest.RequireError(t, activate(), codes.FailedPrecondition, "SEQUENCE_INVALID"); len(e.Violations) != 4 {
		t.Fatalf("%+v", e.Violations)
	}
	w.sync.connections = map[string]syncv1.ConnectionState{"ghl": syncv1.ConnectionState_CONNECTION_STATE_AUTH_REVOKED}
	if e := rpctest.RequireError(t, activate(), codes.FailedPrecondition, "SEQUENCE_INVALID"); len(e.Violations) != 5 {
		t.Fatalf("%+v", e.Violations)
	}
	w.sync.connections, w.availability.err = nil, nil
	planted{world: w}.settings(&followupsv1.Settings{SenderName: "Sam"}, "sender_name")
	if err := activate(); err != nil {
		t.Fatal(err)
	}

	// What is active stays so, and can be renamed, when the workspace loses something; other steps are checked anew.
	w.sync.connections = map[string]syncv1.ConnectionState{}
	change := func(in *followupsv1.Sequence, path string) error {
		in.Name = name
		_, err := w.admin.UpdateSequence(t.Context(), &followupsv1.UpdateSequenceRequest{
			Sequence: in, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}},
		})
		return err
	}
	if err := change(&followupsv1.Sequence{DisplayName: "renamed"}, "display_name"); err != nil {
		t.Error(err)
	}
	rpctest.RequireError(t, change(&followupsv1.Sequence{Steps: seq.GetSteps()[:1]}, "steps"), codes.FailedPrecondition, "SEQUENCE_INVALID")
	// A sync that is away tells nothing against it.
	w.sync.down.Store(true)
	if err := change(&followupsv1.Sequence{Steps: seq.GetSteps()[:1]}, "steps"); err != nil {
		t.Error(err)
	}
}
