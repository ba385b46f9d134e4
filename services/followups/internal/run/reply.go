package run

import (
	"context"

	"github.com/relance/relance/services/followups/internal/learn"
)

// repliesAtOnce bounds the replies whose text a run asks for: what is due must not wait for many of them.
const repliesAtOnce = 50

// readReplies takes the dates of replies whose text could not be read when they were told, so that nothing is written before
// them. It stops at the first that still cannot be read: sync is away.
func (r *Runner) readReplies(budget context.Context) error {
	now := r.cfg.Clock.Now()
	replies, err := r.cfg.Store.ClaimUnreadReplies(budget, now, repliesAtOnce)
	if err != nil {
		return endOf(budget, err)
	}
	for _, reply := range replies {
		until, read := r.reader.Snooze(budget, learn.Reply{Workspace: reply.Workspace, Lead: reply.Lead, Message: reply.Message, Time: reply.Time})
		if !read && !reply.Last {
			return nil
		}
		if err := r.cfg.Store.ReadReply(budget, reply, until, now); err != nil {
			return endOf(budget, err)
		}
	}
	return nil
}

// endOf is the error, or none when it is only the end of the budget: the next run goes on.
func endOf(budget context.Context, err error) error {
	if budget.Err() != nil {
		return nil //nolint:nilerr // that a run ends in time is no failure
	}
	return err
}
