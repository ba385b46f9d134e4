package sync_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

func (w tenant) policy(p *syncv1.ContactPolicy, paths ...string) (*syncv1.Workspace, error) {
	out, err := w.admin.UpdateWorkspace(w.Context(), &syncv1.UpdateWorkspaceRequest{
		Workspace: &syncv1.Workspace{Name: w.name, ContactPolicy: p}, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
	return out.GetWorkspace(), err
}

func TestContactPolicyHolds(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12125550181"})
	w.clock.Set(time.Date(2026, 1, 7, 13, 30, 0, 0, time.UTC)) // 08:30 in New York
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Fatal(err) // the control: the law is open
	}
	got, err := w.policy(&syncv1.ContactPolicy{Sms: &syncv1.ChannelPolicy{OpenFrom: "09:00", OpenUntil: "18:00", DailyCap: 2}}, "contact_policy")
	if err != nil || got.GetContactPolicy().GetSms().GetOpenFrom() != "09:00" || got.GetContactPolicy().GetEmail() != nil {
		t.Fatalf("policy = %v, %v", got, err)
	}
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "QUIET_HOURS"); e.Metadata["rule"] != "workspace-hours" || e.Metadata["next_allowed_time"] != "2026-01-07T14:00:00Z" {
		t.Errorf("error = %+v", e)
	}
	w.clock.Set(time.Date(2026, 1, 7, 14, 0, 0, 0, time.UTC))
	if _, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Error(err)
	}
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "FREQUENCY_CAP"); e.Metadata["rule"] != "workspace-cap" || e.Metadata["cap"] != "2" {
		t.Errorf("error = %+v", e)
	}
	// One field changes and the others stay; then all go.
	if got, err = w.policy(&syncv1.ContactPolicy{Sms: &syncv1.ChannelPolicy{DailyCap: 3}}, "contact_policy.sms.daily_cap"); err != nil ||
		!proto.Equal(got.GetContactPolicy(), &syncv1.ContactPolicy{Sms: &syncv1.ChannelPolicy{OpenFrom: "09:00", OpenUntil: "18:00", DailyCap: 3}}) {
		t.Errorf("policy = %v, %v", got, err)
	}
	if _, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Error(err)
	}
	if got, err = w.policy(nil, "contact_policy"); err != nil || got.GetContactPolicy() != nil {
		t.Errorf("policy = %v, %v", got, err)
	}
	read, err := w.admin.GetWorkspace(t.Context(), &syncv1.GetWorkspaceRequest{Name: w.name})
	if err != nil || read.GetWorkspace().GetContactPolicy() != nil {
		t.Errorf("read = %v, %v", read, err)
	}
}

func TestContactPolicyCanOnlyBeStricter(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	kept := &syncv1.ContactPolicy{Sms: &syncv1.ChannelPolicy{OpenFrom: "10:00", OpenUntil: "17:30"}, Email: &syncv1.ChannelPolicy{DailyCap: 1}}
	if _, err := w.policy(kept, "contact_policy.sms", "contact_policy.email"); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]*syncv1.ContactPolicy{
		"before the law":     {Sms: &syncv1.ChannelPolicy{OpenFrom: "07:59", OpenUntil: "18:00"}},
		"after the law":      {Sms: &syncv1.ChannelPolicy{OpenFrom: "09:00", OpenUntil: "21:01"}},
		"backwards":          {Sms: &syncv1.ChannelPolicy{OpenFrom: "18:00", OpenUntil: "09:00"}},
		"shorter than hours": {Email: &syncv1.ChannelPolicy{OpenFrom: "09:00", OpenUntil: "09:59"}},
		"half":               {Sms: &syncv1.ChannelPolicy{OpenFrom: "09:00"}},
		"no time":            {Sms: &syncv1.ChannelPolicy{OpenFrom: "9", OpenUntil: "18:00"}},
		"no such hour":       {Sms: &syncv1.ChannelPolicy{OpenFrom: "09:00", OpenUntil: "25:00"}},
		"negative cap":       {Sms: &syncv1.ChannelPolicy{DailyCap: -1}},
		"large cap":          {Email: &syncv1.ChannelPolicy{DailyCap: 101}},
	} {
		_, err := w.policy(bad, "contact_policy")
		if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 1 {
			t.Errorf("%s: %+v", name, e.Violations)
		}
	}
	_, err := w.policy(kept, "contact_policy.sms.colour")
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	// A part that does not fit what is kept is refused with it.
	_, err = w.policy(&syncv1.ContactPolicy{Sms: &syncv1.ChannelPolicy{OpenFrom: "17:00"}}, "contact_policy.sms.open_from")
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	read, err := w.admin.GetWorkspace(t.Context(), &syncv1.GetWorkspaceRequest{Name: w.name})
	if err != nil || !proto.Equal(read.GetWorkspace().GetContactPolicy(), kept) {
		t.Errorf("kept = %v, %v", read, err)
	}
	// Emails may be held to any hours, midnight included.
	if _, err := w.policy(&syncv1.ContactPolicy{Email: &syncv1.ChannelPolicy{OpenFrom: "00:00", OpenUntil: "24:00"}}, "contact_policy.email"); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"Buy at https://example.com", "two\nlines", string(make([]byte, 200))} {
		_, err := w.admin.UpdateWorkspace(t.Context(), &syncv1.UpdateWorkspaceRequest{
			Workspace: &syncv1.Workspace{Name: w.name, OptOutConfirmation: text}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"opt_out_confirmation"}},
		})
		rpctest.RequireError(t, err, codes.InvalidArgument, "")
	}
}
