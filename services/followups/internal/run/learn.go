package run

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
)

// workspace is what a run learned of one.
type workspace struct {
	learn.Workspace
	// away tells that sync did not answer; it is asked again for the next batch.
	away bool
	// calendar is what availability refused for the workspace as a whole, by whether a link alone was asked for.
	calendar map[bool]*followup.Slots
	// slotsAway tells that availability did not answer; it is not asked again in this run.
	slotsAway bool
}

// learn reads workspaces and leads, one call each per workspace.
func (p *pass) learn(ctx context.Context, works []*work) {
	byWorkspace := map[uuid.UUID][]*work{}
	for _, w := range works {
		id := w.item.Enrollment.Workspace
		byWorkspace[id] = append(byWorkspace[id], w)
	}
	for id, group := range byWorkspace {
		known := p.workspaces[id]
		if known == nil || known.away {
			read, ok := p.reader.Workspace(ctx, id)
			known = &workspace{Workspace: read, away: !ok}
			p.workspaces[id] = known
		}
		if !known.away && p.readLeads(ctx, id, group) || over(ctx) {
			continue
		}
		for _, w := range group {
			w.note(followup.Away(followup.ReasonSyncUnavailable, w.item.Enrollment, w.try.Now), followup.RuleLearn)
		}
	}
}

// over tells whether the time to begin in has ended, or ends so soon that a server's own deadline may have been first: a
// read that fails then says nothing about the service that was asked.
func over(begin context.Context) bool {
	deadline, ok := begin.Deadline()
	return begin.Err() != nil || ok && time.Until(deadline) < 50*time.Millisecond
}

// readLeads gives each item its lead, or nil for one that is gone. It reports false when sync did not answer.
func (p *pass) readLeads(ctx context.Context, id uuid.UUID, group []*work) bool {
	ids := make([]uuid.UUID, len(group))
	for i, w := range group {
		ids[i] = w.item.Enrollment.Lead
	}
	leads, ok := p.reader.Leads(ctx, id, ids)
	for _, w := range group {
		w.lead, w.learned = leads[w.item.Enrollment.Lead], ok
	}
	return ok
}
