package run

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/crashpoint"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/name"
)

const syncDomain = "sync.relance.dev"

// decideAll decides every item that sync was read for and that is not settled yet. A poisoned one is isolated.
func (p *pass) decideAll(ctx context.Context, works []*work) {
	for _, w := range works {
		if w.effect != nil || !w.learned || ctx.Err() != nil {
			continue
		}
		if err := isolated(func() { p.decideOne(ctx, w) }); err != nil {
			p.broken(ctx, w, err)
		}
	}
}

func (p *pass) decideOne(ctx context.Context, w *work) {
	ws := p.workspaces[w.item.Enrollment.Workspace]
	w.zone = p.zoneOf(w)
	if w.lead != nil {
		w.lead.LinkedInConnected = w.item.LinkedInConnected
	}
	in := followup.Input{
		Now: w.try.Now, Enrollment: w.item.Enrollment, SequenceActive: w.item.SequenceActive, ContinueOnReply: w.item.ContinueOnReply, Meeting: w.item.Meeting, Step: w.item.Step, Lead: w.lead,
		Settings: w.item.Settings, Policy: w.try.Policy, Zone: ws.Zone, SendingDisabled: ws.SendingDisabled, Planned: w.item.Planned,
	}
	decision := p.decide(in)
	if decision.Verdict == followup.NeedSlots {
		slots, ok := p.offer(ctx, w)
		if !ok {
			if !over(ctx) {
				w.note(followup.Away("availability_unavailable", w.item.Enrollment, w.try.Now), followup.RuleLearn)
			}
			return
		}
		in.Slots = slots
		decision = p.decide(in)
	}
	w.trace = decision.Trace
	switch decision.Verdict {
	case followup.Send:
		w.content = &decision.Content
	case followup.Settled:
		w.settle(decision.Effect)
		if decision.Effect.Reason == followup.ReasonAwaitingApproval {
			w.content = &decision.Content // kept as a plan: what was approved is what is sent
		}
	default:
		w.settle(followup.Broken(w.item.Enrollment, w.try))
	}
}

func (p *pass) sendIsolated(ctx context.Context, w *work) {
	if err := isolated(func() { p.send(ctx, w) }); err != nil {
		p.broken(ctx, w, err)
	}
}

func (p *pass) send(ctx context.Context, w *work) {
	e, key := w.item.Enrollment, w.item.Key()
	call, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request := &syncv1.SendMessageRequest{
		Lead: name.Lead(e.Workspace, e.Lead), Channel: learn.Channel(key.Channel), Subject: w.content.Subject,
		Body: w.content.Body, Html: w.content.HTML, RequestId: key.RequestID().String(),
	}
	if !w.item.ContinueOnReply {
		request.UnlessRepliedSince = timestamppb.New(e.RepliedSince)
	}
	if !w.content.Until.IsZero() {
		request.ExpireTime = timestamppb.New(w.content.Until)
	}
	resp, err := p.cfg.Sync.SendMessage(call, request)
	crashpoint.At(crashpoint.K4)
	if err == nil {
		reply := answer(resp.GetMessage())
		w.note(followup.Answered(reply, e, w.try), followup.RuleSend, followup.Fact{Name: "state", Value: reply.State})
		return
	}
	if ctx.Err() != nil {
		return // we are being stopped; the next run asks again with the same id
	}
	effect := p.refused(ctx, err, w)
	w.note(effect, followup.RuleSend, refusalFacts(err)...)
}

// refusalFacts are what sync told with a refusal. Its metadata hold no personal data.
func refusalFacts(err error) []followup.Fact {
	typed, ok := apierr.From(err)
	if !ok || typed.Domain != syncDomain {
		return nil
	}
	facts := []followup.Fact{{Name: "refusal", Value: typed.Reason}}
	for _, key := range slices.Sorted(maps.Keys(typed.Metadata)) {
		facts = append(facts, followup.Fact{Name: key, Value: typed.Metadata[key]})
	}
	return facts
}

func (p *pass) refused(ctx context.Context, err error, w *work) followup.Effect {
	e := w.item.Enrollment
	typed, ok := apierr.From(err)
	if !ok {
		return followup.Broken(e, w.try)
	}
	if typed.Domain == syncDomain && typed.Reason != "" {
		if followup.NeedsEyes(typed.Reason) {
			p.cfg.Logger.WarnContext(ctx, "send needs a person's eyes",
				slog.String("enrollment", e.ID.String()), slog.String("reason", typed.Reason))
		}
		return followup.Refused(followup.Refusal{Reason: typed.Reason, Metadata: typed.Metadata, RetryAfter: typed.RetryAfter, Channel: w.try.Channel}, e, w.try)
	}
	switch typed.Code {
	case codes.NotFound:
		return followup.Effect{Result: followup.Skipped, Reason: followup.ReasonLeadGone, Move: followup.End}
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.ResourceExhausted,
		codes.Unauthenticated, codes.PermissionDenied:
		// sync did not decide; asking again with the same id is harmless.
		return followup.Away(followup.ReasonSyncUnavailable, e, w.try.Now)
	}
	p.logBroken(ctx, w.item.Enrollment, err)
	return followup.Broken(e, w.try)
}

func answer(m *syncv1.Message) followup.Answer {
	state := strings.ToLower(strings.TrimPrefix(m.GetState().String(), "MESSAGE_STATE_"))
	out := followup.Answer{State: state, Reason: m.GetRefusalReason(), Message: m.GetName()}
	if m.GetNextAttemptTime() != nil {
		out.RetryAt = m.GetNextAttemptTime().AsTime()
	}
	return out
}

func (p *pass) broken(ctx context.Context, w *work, err error) {
	p.logBroken(ctx, w.item.Enrollment, err)
	w.note(followup.Broken(w.item.Enrollment, w.try), followup.RuleIntact)
}

func (p *pass) logBroken(ctx context.Context, e followup.Enrollment, err error) {
	p.cfg.Logger.ErrorContext(ctx, "follow-up step could not be worked on",
		slog.String("enrollment", e.ID.String()), slog.Any("error", err))
}

// isolated turns a panic into an error, so that one item cannot stop its batch.
func isolated(fn func()) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, cause, debug.Stack())
		}
	}()
	fn()
	return nil
}
