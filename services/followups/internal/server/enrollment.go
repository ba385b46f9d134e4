package server

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/store"
)

// EnrollLead starts a lead on a sequence.
func (s *Server) EnrollLead(ctx context.Context, req *followupsv1.EnrollLeadRequest) (*followupsv1.EnrollLeadResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	in, err := enrolling(workspace, req)
	if err != nil {
		return nil, err
	}
	lead, err := s.eligible(ctx, req.GetEnrollment().GetLead())
	if err != nil {
		return nil, err
	}
	if lead.GetLastInboundTime() != nil {
		in.RepliedSince = lead.GetLastInboundTime().AsTime()
	}
	if in.Zone, err = followup.Zone(lead.GetTimeZone()); err != nil {
		in.Zone = s.zone(ctx, workspace)
	}
	e, err := s.cfg.Store.Enroll(ctx, in, s.now())
	if err != nil {
		return nil, mapped(err, "sequence", req.GetEnrollment().GetSequence())
	}
	return &followupsv1.EnrollLeadResponse{Enrollment: enrollmentPB(e)}, nil
}

// enrolling checks the request and lists every bad field at once.
func enrolling(workspace uuid.UUID, req *followupsv1.EnrollLeadRequest) (store.Enrolling, error) {
	in := store.Enrolling{Workspace: workspace}
	var violations []apierr.FieldViolation
	bad := func(field, text string) {
		violations = append(violations, apierr.FieldViolation{Field: field, Description: text})
	}
	read := func(field, text, collection string) uuid.UUID {
		of, id, err := name.ParseChild(text, collection)
		switch {
		case err != nil:
			bad(field, err.Error())
		case of != workspace:
			bad(field, "must be of the parent workspace")
		}
		return id
	}
	in.Lead = read("enrollment.lead", req.GetEnrollment().GetLead(), "leads")
	in.Sequence = read("enrollment.sequence", req.GetEnrollment().GetSequence(), "sequences")
	var err error
	if in.Request, err = requestID(req.GetRequestId()); err != nil {
		bad("request_id", "must be a UUID")
	}
	if len(violations) > 0 {
		return in, apierr.Invalid(violations...)
	}
	return in, nil
}

// eligible reads the lead and refuses one that is gone or must not be contacted.
func (s *Server) eligible(ctx context.Context, lead string) (*syncv1.Lead, error) {
	resp, err := s.cfg.Sync.GetLead(ctx, &syncv1.GetLeadRequest{Name: lead})
	switch {
	case apierr.Code(err) == codes.NotFound:
		return nil, notEligible("gone", lead)
	case err != nil:
		return nil, apierr.Unavailable("the lead cannot be read now", err)
	case resp.GetLead().GetBlocked():
		return nil, notEligible("blocked", lead)
	}
	for _, channel := range resp.GetLead().GetChannels() {
		if channel.GetStatus() == syncv1.ChannelStatus_CHANNEL_STATUS_OPTED_OUT {
			return nil, notEligible("opted_out", lead)
		}
	}
	return resp.GetLead(), nil
}

// GetEnrollment reads one.
func (s *Server) GetEnrollment(ctx context.Context, req *followupsv1.GetEnrollmentRequest) (*followupsv1.GetEnrollmentResponse, error) {
	workspace, id, err := child(ctx, "name", req.GetName(), "enrollments")
	if err != nil {
		return nil, err
	}
	e, err := s.cfg.Store.GetEnrollment(ctx, workspace, id)
	if err != nil {
		return nil, mapped(err, "enrollment", req.GetName())
	}
	return &followupsv1.GetEnrollmentResponse{Enrollment: enrollmentPB(e)}, nil
}

// leadFilter reads an optional lead name of the workspace.
func leadFilter(workspace uuid.UUID, text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	of, id, err := name.ParseChild(text, "leads")
	if err != nil || of != workspace {
		return uuid.Nil, invalid("lead", "must be a lead of the parent workspace")
	}
	return id, nil
}

// ListEnrollments lists a workspace's.
func (s *Server) ListEnrollments(ctx context.Context, req *followupsv1.ListEnrollmentsRequest) (*followupsv1.ListEnrollmentsResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	lead, err := leadFilter(workspace, req.GetLead())
	if err != nil {
		return nil, err
	}
	page, paging, err := newPaging(req.GetPageSize(), req.GetPageToken(), collection(workspace, "enrollments"+lead.String()))
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Store.ListEnrollments(ctx, workspace, store.Filter{Lead: lead}, page)
	if err != nil {
		return nil, mapped(err, "workspace", req.GetParent())
	}
	out := &followupsv1.ListEnrollmentsResponse{}
	rows, out.NextPageToken = cut(rows, paging, func(e followup.Enrollment) uuid.UUID { return e.ID })
	for _, row := range rows {
		out.Enrollments = append(out.Enrollments, enrollmentPB(row))
	}
	return out, nil
}

type change func(followup.Enrollment) (followup.Enrollment, error)

// changed applies a guarded change to the named enrollment.
func (s *Server) changed(ctx context.Context, text string, fn change) (*followupsv1.Enrollment, error) {
	return s.changedBy(ctx, text, func(workspace, id uuid.UUID) (followup.Enrollment, error) {
		return s.cfg.Store.ChangeEnrollment(ctx, workspace, id, s.now(), fn)
	})
}

// changedBy answers the enrollment after a change of it in the store.
func (s *Server) changedBy(ctx context.Context, text string, do func(workspace, id uuid.UUID) (followup.Enrollment, error)) (*followupsv1.Enrollment, error) {
	workspace, id, err := child(ctx, "name", text, "enrollments")
	if err != nil {
		return nil, err
	}
	e, err := do(workspace, id)
	if errors.Is(err, followup.ErrTransition) {
		return nil, notActive(e.State, text)
	}
	if err != nil {
		return nil, mapped(err, "enrollment", text)
	}
	return enrollmentPB(e), nil
}

// PauseEnrollment pauses by hand.
func (s *Server) PauseEnrollment(ctx context.Context, req *followupsv1.PauseEnrollmentRequest) (*followupsv1.PauseEnrollmentResponse, error) {
	now := s.now()
	e, err := s.changed(ctx, req.GetName(), func(e followup.Enrollment) (followup.Enrollment, error) {
		return e.Pause(followup.ReasonManual, now)
	})
	if err != nil {
		return nil, err
	}
	return &followupsv1.PauseEnrollmentResponse{Enrollment: e}, nil
}

// ResumeEnrollment goes on.
func (s *Server) ResumeEnrollment(ctx context.Context, req *followupsv1.ResumeEnrollmentRequest) (*followupsv1.ResumeEnrollmentResponse, error) {
	now := s.now()
	e, err := s.changedBy(ctx, req.GetName(), func(workspace, id uuid.UUID) (followup.Enrollment, error) {
		return s.cfg.Store.ResumeEnrollment(ctx, workspace, id, now)
	})
	if err != nil {
		return nil, err
	}
	return &followupsv1.ResumeEnrollmentResponse{Enrollment: e}, nil
}

// CancelEnrollment ends it.
func (s *Server) CancelEnrollment(ctx context.Context, req *followupsv1.CancelEnrollmentRequest) (*followupsv1.CancelEnrollmentResponse, error) {
	now := s.now()
	e, err := s.changed(ctx, req.GetName(), func(e followup.Enrollment) (followup.Enrollment, error) {
		return e.Cancel(followup.ReasonCancelled, now)
	})
	if err != nil {
		return nil, err
	}
	return &followupsv1.CancelEnrollmentResponse{Enrollment: e}, nil
}

// ListTasks lists a workspace's.
func (s *Server) ListTasks(ctx context.Context, req *followupsv1.ListTasksRequest) (*followupsv1.ListTasksResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	lead, err := leadFilter(workspace, req.GetLead())
	if err != nil {
		return nil, err
	}
	filter := store.Filter{Lead: lead}
	for state, pb := range taskStates() {
		if pb == req.GetState() {
			filter.State = state
		}
	}
	if filter.State == "" && req.GetState() != followupsv1.TaskState_TASK_STATE_UNSPECIFIED {
		return nil, invalid("state", "is not a state of tasks")
	}
	page, paging, err := newPaging(req.GetPageSize(), req.GetPageToken(), collection(workspace, "tasks"+lead.String()+string(filter.State)))
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Store.ListTasks(ctx, workspace, filter, page)
	if err != nil {
		return nil, mapped(err, "workspace", req.GetParent())
	}
	out := &followupsv1.ListTasksResponse{}
	rows, out.NextPageToken = cut(rows, paging, func(task store.Task) uuid.UUID { return task.ID })
	for _, row := range rows {
		out.Tasks = append(out.Tasks, taskPB(workspace, row))
	}
	return out, nil
}
