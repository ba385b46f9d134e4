package backfill

import (
	"io"

	"github.com/schollz/progressbar/v3"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// bar shows how far a channel is, with its rate and the time that is left.
type bar struct {
	out     io.Writer
	shown   *progressbar.ProgressBar
	total   int64
	waiting int64
}

func newBar(w io.Writer, name string, first *syncv1.BackfillConversationsResponse) *bar {
	b := &bar{out: w, total: first.GetWaiting(), waiting: first.GetWaiting()}
	b.shown = progressbar.NewOptions64(b.total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("conversations"),
		progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth())
	return b
}

// set shows a count, and tells whether fewer wait than before. Leads that came since make the whole larger.
func (b *bar) set(state *syncv1.BackfillConversationsResponse) (moved bool) {
	moved = state.GetWaiting() < b.waiting
	if b.waiting = state.GetWaiting(); b.waiting > b.total {
		b.total = b.waiting
		b.shown.ChangeMax64(b.total)
	}
	_ = b.shown.Set64(b.total - b.waiting) // a bar that cannot be drawn stops nothing
	return moved
}

func (b *bar) end() {
	_ = b.shown.Exit()
	_, _ = io.WriteString(b.out, "\n")
}
