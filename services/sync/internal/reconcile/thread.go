package reconcile

import (
	"context"
	"fmt"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
)

// thread walks what a provider of email answers shows as sent in the send's thread.
func (l *Looker) thread(ctx context.Context, s *subject, out *sending.Sighting) error {
	mail, ok := l.Mail[provider.Kind(s.row.Provider)]
	if !ok || !s.target.Usable(s.row.Provider) {
		return fmt.Errorf("%w: its thread is not known", ErrPartial)
	}
	from, _ := l.window(s.row)
	return l.walk(ctx, s, out, func(cursor string) ([]ghl.HistoryMessage, string, error) {
		rows, next, err := mail.Sent(ctx, s.account, provider.SentQuery{Target: s.target, From: from, Cursor: cursor})
		var page []ghl.HistoryMessage
		for _, m := range rows {
			source := ""
			if m.Campaign {
				source = "campaign"
			}
			page = append(page, ghl.HistoryMessage{ID: m.ID, Channel: sending.Email, Body: m.HTML, Source: source, At: m.At})
		}
		return page, next, err
	})
}
