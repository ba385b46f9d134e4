package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
)

// checkAhead is how far ahead the gate is asked.
const checkAhead = 400 * 24 * time.Hour

// CheckSend tells what the gate would say of messages.
func (s *Server) CheckSend(ctx context.Context, req *syncv1.CheckSendRequest) (*syncv1.CheckSendResponse, error) {
	var c check
	in := sender.Checks{
		Workspace: c.workspace("parent", req.GetParent()), Accumulate: req.GetAccumulate(), AssumeReady: req.GetAssumeReady(),
	}
	n := len(req.GetChecks())
	c.when(n == 0 || n > maxPage, "checks", "must be 1 to 500")
	if n <= maxPage {
		latest := s.Clock.Now().Add(checkAhead)
		for _, one := range req.GetChecks() {
			in.Checks = append(in.Checks, c.sendCheck(one, in.Workspace, latest))
		}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := authorize(ctx, in.Workspace); err != nil {
		return nil, err
	}
	answers, err := s.Sender.Check(ctx, in)
	var unknown *sender.NoLeadError
	switch {
	case errors.As(err, &unknown):
		return nil, apierr.NotFound("lead", leadName(in.Workspace, unknown.Lead))
	case postgres.IsNoRows(err):
		return nil, apierr.NotFound("workspace", req.GetParent())
	case err != nil:
		return nil, mapped(err)
	}
	out := &syncv1.CheckSendResponse{}
	for _, a := range answers {
		out.Results = append(out.Results, checkProto(a))
	}
	return out, nil
}

func (c *check) sendCheck(in *syncv1.SendCheck, parent uuid.UUID, latest time.Time) sender.Check {
	workspace, id := c.child("checks.lead", in.GetLead(), "leads")
	c.when(workspace != uuid.Nil && workspace != parent, "checks.lead", "must be of the parent's workspace")
	out := sender.Check{Lead: id, Purpose: c.purpose(in.GetPurpose())}
	switch in.GetChannel() {
	case syncv1.Channel_CHANNEL_SMS:
		out.Channel = sending.SMS
	case syncv1.Channel_CHANNEL_EMAIL:
		out.Channel = sending.Email
	default:
		c.add("checks.channel", "must be CHANNEL_SMS or CHANNEL_EMAIL")
	}
	if at := c.time("checks.time", in.GetTime(), false); at != nil {
		out.At = *at
		c.when(at.After(latest), "checks.time", "must be at most 400 days ahead")
	}
	return out
}

func checkProto(a sender.Answer) *syncv1.SendCheckResult {
	d := a.Decision
	out := &syncv1.SendCheckResult{
		Verdict: syncv1.SendVerdict_SEND_VERDICT_ALLOW, Rule: d.Law.Rule, Source: d.Law.Source, NoCommonHour: d.Law.NoCommonHour,
		RulesVersion: legal.Version,
	}
	if d.Refusal == nil {
		return out
	}
	out.Reason, out.Metadata = string(d.Refusal.Reason), d.Refusal.Meta
	out.Verdict = syncv1.SendVerdict_SEND_VERDICT_DENY
	if d.To == "" {
		out.Verdict, out.DeferUntilTime = syncv1.SendVerdict_SEND_VERDICT_DEFER, stamp(a.Until)
	}
	return out
}
