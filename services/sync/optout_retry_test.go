package sync_test

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// refusals has the provider refuse the next n updates of a contact for good.
func (w tenant) refusals(contact string, n int) {
	w.sim.AddFault(simulator.Fault{
		Match: putsTo(contact), Kind: simulator.Refusal, Status: http.StatusUnprocessableEntity, Body: "no such thing", Times: n,
	})
}

func (w tenant) retryPush(lead string) (*syncv1.OptOutPush, error) {
	out, err := w.admin.RetryOptOutPush(w.Context(), &syncv1.RetryOptOutPushRequest{Name: w.optOutOf(lead).GetName()})
	return out.GetOptOut().GetPush(), err
}

// TestAPushThatWasGivenUpIsTriedAgain by an admin: as often as at first, and then it is done.
func TestAPushThatWasGivenUpIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550151"})
	w.refusals(contact.ID, 10)
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	w.settled()
	w.pushed(lead, pushFailed)
	if n := w.puts(contact.ID); n != 5 {
		t.Fatalf("%d updates, want 5", n)
	}
	got, err := w.retryPush(lead)
	if err != nil || got.GetState() != pushPending || got.GetLastError() != "" {
		t.Fatalf("retry = %v, %v", got, err)
	}
	w.pushed(lead, pushFailed)
	if n := w.puts(contact.ID); n != 10 {
		t.Errorf("%d updates after the second try, want 10", n)
	}
	w.closed(lead)
	if _, err := w.retryPush(lead); err != nil {
		t.Fatal(err)
	}
	w.pushed(lead, pushVerified)
	if w.switched(contact.ID, simulator.SMS) != simulator.DNDActive || w.puts(contact.ID) != 11 {
		t.Errorf("switch %q after %d updates", w.switched(contact.ID, simulator.SMS), w.puts(contact.ID))
	}
	_, err = w.retryPush(lead)
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "OPT_OUT_PUSH_NOT_FAILED"); e.Metadata["push"] != "VERIFIED" {
		t.Errorf("metadata = %v", e.Metadata)
	}
	_, err = w.admin.RetryOptOutPush(t.Context(), &syncv1.RetryOptOutPushRequest{Name: w.name + "/optOuts/00000000-0000-7000-8000-000000000001"})
	rpctest.RequireError(t, err, codes.NotFound, "")
}

// TestARetryOfALiftedOptOutTakesTheSwitchBack, and does not tell it again.
func TestARetryOfALiftedOptOutTakesTheSwitchBack(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.wrote("+12125550152", outInPlainWords)
	w.pushed(lead, pushVerified)
	w.refusals(contact.ID, 5)
	_, err := w.admin.LiftOptOut(t.Context(), &syncv1.LiftOptOutRequest{Name: w.optOutOf(lead).GetName(), Reason: "asked by telephone"})
	if err != nil {
		t.Fatal(err)
	}
	w.pushed(lead, pushFailed)
	if w.switched(contact.ID, simulator.SMS) != simulator.DNDActive {
		t.Fatal("the switch is off: nothing was refused")
	}
	got, err := w.retryPush(lead)
	if err != nil || got.GetState() != syncv1.OptOutPushState_OPT_OUT_PUSH_STATE_WITHDRAWING {
		t.Fatalf("retry = %v, %v", got, err)
	}
	w.pushed(lead, pushWithdrawn)
	if w.switched(contact.ID, simulator.SMS) != simulator.DNDInactive {
		t.Errorf("switch = %q", w.switched(contact.ID, simulator.SMS))
	}
}
