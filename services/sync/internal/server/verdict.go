package server

import (
	"context"
	"regexp"
	"unicode/utf8"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

var verdictWord = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// SetMessageVerdict stores what a classifier outside says. Only another verdict leaves a change.
func (s *Server) SetMessageVerdict(ctx context.Context, req *syncv1.SetMessageVerdictRequest) (*syncv1.SetMessageVerdictResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "messages")
	v := req.GetVerdict()
	c.when(!verdictWord.MatchString(v.GetVerdict()), "verdict.verdict", "must be 1 to 64 lower-case letters, digits and underscores")
	n := utf8.RuneCountInString(v.GetClassifier())
	c.when(n < 1 || n > 100, "verdict.classifier", "must be 1 to 100 characters")
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.MessageVerdict
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) error {
		m, err := tx.Message(ctx, db.MessageParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err, "message", req.GetName())
		}
		// The conversation's lock keeps its changes in the order of their commits.
		_, err = tx.LockConversation(ctx, db.LockConversationParams{WorkspaceID: workspace, LeadID: m.Message.LeadID, Channel: m.Message.Channel})
		if err != nil {
			return err
		}
		changed, err := tx.SaveVerdict(ctx, db.SaveVerdictParams{
			WorkspaceID: workspace, MessageID: id, Verdict: v.GetVerdict(), Classifier: v.GetClassifier(), Now: tx.Now,
		})
		if err == nil && changed > 0 {
			err = tx.AddVerdictChange(ctx, db.AddVerdictChangeParams{WorkspaceID: workspace, MessageID: id})
		}
		if err != nil {
			return err
		}
		row, err = tx.Verdict(ctx, db.VerdictParams{WorkspaceID: workspace, MessageID: id})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.SetMessageVerdictResponse{Verdict: &syncv1.MessageVerdict{
		Verdict: row.Verdict, Classifier: row.Classifier, UpdateTime: stamp(row.UpdateTime),
	}}, nil
}
