package followups_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

func TestLeadEvents(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sequence(sms("Hi", 1, 0), sms("Again", 1, 0))
	w.sequence(email("S", "B", 2))
	lead := w.lead()
	created := w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_CREATED, start())
	if got := w.handle(created, created); got.GetHandled() != 1 || got.GetRepeatedCount() != 1 {
		t.Fatalf("%v", got)
	}
	list := func() []*followupsv1.Enrollment {
		resp, err := w.admin.ListEnrollments(t.Context(), &followupsv1.ListEnrollmentsRequest{Parent: w.workspace, Lead: lead})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetEnrollments()
	}
	enrollments := list()
	if len(enrollments) != 2 {
		t.Fatalf("%v", enrollments)
	}
	replied := followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED
	w.handle(w.event(lead, replied, start()))
	w.expect(enrollments[0].GetName(), active, "", 1)
	w.handle(w.event(lead, replied, start().Add(time.Minute)))
	w.expect(enrollments[0].GetName(), paused, "lead_replied", 1)
	w.handle(w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_DND_CHANGED, start()),
		w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT, start()))
	for _, e := range list() {
		w.expect(e.GetName(), cancelled, "OPTED_OUT", 1)
	}
	_, err := w.events.HandleLeadEvents(t.Context(), &followupsv1.HandleLeadEventsRequest{Events: []*followupsv1.LeadEvent{
		{}, {EventId: uuid.NewString(), Lead: lead, Type: 5, EventTime: timestamppb.Now()},
	}})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 6 {
		t.Fatalf("%+v", e.Violations)
	}
}

func TestOptOutRefusalEndsEveryEnrollmentOfTheBatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	one, two := w.enroll(lead, w.sequence(sms("Hi", 0, 0))), w.enroll(lead, w.sequence(email("S", "B", 0), sms("C", 1, 0)))
	w.sync.answerWith(func(req *syncv1.SendMessageRequest) (*syncv1.Message, error) {
		if req.GetChannel() == syncv1.Channel_CHANNEL_SMS {
			return nil, refusal("OPTED_OUT")
		}
		return nil, nil
	})
	w.tick()
	w.expect(one, cancelled, "OPTED_OUT", 1)
	if e := w.enrollment(two); e.GetState() != cancelled {
		t.Fatalf("%v", e)
	}
}

func TestReplyKnownToSyncPauses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 5)))
	w.sync.leads[lead].LastInboundTime = timestamppb.New(start().Add(time.Minute))
	w.clock.Advance(5 * time.Minute)
	w.tick()
	w.expect(e, paused, "lead_replied", 1)
	if _, err := w.admin.ResumeEnrollment(t.Context(), &followupsv1.ResumeEnrollmentRequest{Name: e}); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(e, completed, "", 2)
	if !w.sync.calls[0].GetUnlessRepliedSince().AsTime().Equal(w.clock.Now()) {
		t.Fatalf("unless_replied_since = %v", w.sync.calls[0].GetUnlessRepliedSince().AsTime())
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	got, err := w.admin.GetSettings(ctx, &followupsv1.GetSettingsRequest{Parent: w.workspace})
	if err != nil || got.GetSettings().GetWorkStart() != "09:00" || len(got.GetSettings().GetWorkDays()) != 5 {
		t.Fatalf("%v, %v", got, err)
	}
	update := func(in *followupsv1.Settings, paths ...string) (*followupsv1.Settings, error) {
		resp, err := w.admin.UpdateSettings(ctx, &followupsv1.UpdateSettingsRequest{
			Parent: w.workspace, Settings: in, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		})
		return resp.GetSettings(), err
	}
	_, err = update(&followupsv1.Settings{WorkStart: "9:00"}, "work_start", "work_days")
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Fatalf("%+v", e.Violations)
	}
	e := w.enroll(w.lead(), w.oldSequence(sms("{senderName} of {company}", 0, 0)))
	if _, err := update(&followupsv1.Settings{
		SenderName: "Sam", CompanyName: "Acme", PausedUntilTime: timestamppb.New(start().AddDate(0, 0, 30)),
	}, "sender_name", "company_name", "paused_until_time"); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(e, active, "workspace_paused", 1)
	days := []followupsv1.Weekday{followupsv1.Weekday_WEEKDAY_SUNDAY, followupsv1.Weekday_WEEKDAY_WEDNESDAY}
	after, err := update(&followupsv1.Settings{WorkDays: days}, "paused_until_time", "work_days")
	if err != nil || after.GetPausedUntilTime() != nil || after.GetSenderName() != "Sam" || after.GetWorkDays()[0] != days[0] {
		t.Fatalf("%v, %v", after, err)
	}
	w.tick()
	w.expect(e, completed, "", 2)
	if w.sync.calls[0].GetBody() != "Sam of Acme" {
		t.Fatalf("%v", w.sync.calls)
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for range 5 {
		w.sequence(sms("Hi", 0, 0))
	}
	seen := map[string]bool{}
	token, pages := "", 0
	for pages == 0 || token != "" {
		resp, err := w.admin.ListSequences(t.Context(), &followupsv1.ListSequencesRequest{Parent: w.workspace, PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, seq := range resp.GetSequences() {
			seen[seq.GetName()] = true
		}
		token = resp.GetNextPageToken()
		pages++
		if token != "" {
			_, err = w.admin.ListTasks(t.Context(), &followupsv1.ListTasksRequest{Parent: w.workspace, PageToken: token})
			rpctest.RequireError(t, err, codes.InvalidArgument, "")
		}
	}
	if len(seen) != 5 || pages != 3 {
		t.Fatalf("%d sequences on %d pages", len(seen), pages)
	}
	w.tick()
	w.tick()
	runs, err := w.cron.ListRuns(t.Context(), &followupsv1.ListRunsRequest{PageSize: 1})
	if err != nil || len(runs.GetRuns()) != 1 || runs.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", runs, err)
	}
}
