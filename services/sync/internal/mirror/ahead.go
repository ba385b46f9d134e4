package mirror

import (
	"context"

	"github.com/relance/relance/services/sync/internal/ghl"
)

// listing is a page of a list as the provider gave it, and the cursor of the next.
type listing struct {
	found []ghl.HistoryMessage
	token string
}

// ahead is a page that is asked for while the one before it is stored: a walk waits for the provider and for the disk at the same
// time. It takes its permit as every read does, and is never more than one page. Its place is stored with its own page, so that a
// walk that ends before asks for it once more.
type ahead struct {
	at     place
	cancel context.CancelFunc
	done   chan struct{} // closed when the fields below stand
	got    listing
	err    error
}

// askAhead begins to ask for the page at a place.
func (m *Mirror) askAhead(ctx context.Context, w *walk, at place) {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{at: at, cancel: cancel, done: make(chan struct{})}
	w.ahead = a
	go func() {
		defer close(a.done)
		a.got, a.err = m.ask(ctx, w, at)
	}()
}

// listing gives the page at a place: the one that was asked for ahead, if it is that.
func (m *Mirror) listing(ctx context.Context, w *walk, at place) (listing, error) {
	a := w.ahead
	if a == nil || a.at != at {
		w.forgetAhead()
		return m.ask(ctx, w, at)
	}
	<-a.done // Its call ends with ctx, and by its own time limit.
	w.forgetAhead()
	return a.got, a.err
}

// forgetAhead ends what was asked for ahead, and waits for its end.
func (w *walk) forgetAhead() {
	if w.ahead != nil {
		w.ahead.cancel()
		<-w.ahead.done
		w.ahead = nil
	}
}

// ask reads the page at a place. It changes nothing of the walk.
func (m *Mirror) ask(ctx context.Context, w *walk, at place) (out listing, err error) {
	if at.list == listConversation {
		out.found, out.token, err = m.Client.Conversation(ctx, w.account, ghl.ConversationQuery{ID: at.id, Channel: w.Channel, Cursor: at.token})
		return out, err
	}
	out.found, out.token, err = m.Client.History(ctx, w.account, ghl.HistoryQuery{
		ContactID: w.contact, Channel: w.Channel, Cursor: at.token, To: parseMoment(at.bound),
	})
	return out, err
}
