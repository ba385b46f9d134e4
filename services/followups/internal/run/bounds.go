package run

import (
	"slices"
	"sync"

	"github.com/google/uuid"
)

// sendsAtOnce bounds the messages that are asked for at once, over all runs of a process. Sync sends those of a workspace together
// that come together, so more at once is faster; one workspace alone has half.
const sendsAtOnce = 128

// bounds gives out the places for sends. A workspace is given one only while it holds fewer than are free: alone it has
// half of them, beside one whose provider hangs the next has a quarter, and so on, so that nobody ever holds all. Among
// those that wait, who holds least is served first. It is safe for concurrent use.
type bounds struct {
	mu          sync.Mutex
	free        int
	byWorkspace map[uuid.UUID]*bound
	// order is that in which workspaces came to wait.
	order []*bound
}

// bound is one workspace's part. It is kept while it holds or waits for a place.
type bound struct {
	workspace uuid.UUID
	held      int
	// queue are those that wait, in order; each is closed when its place is given.
	queue []chan struct{}
}

func newBounds(places int) *bounds {
	return &bounds{free: places, byWorkspace: map[uuid.UUID]*bound{}}
}

// with runs fn when there is a place.
func (b *bounds) with(workspace uuid.UUID, fn func()) {
	<-b.ask(workspace)
	defer b.leave(workspace)
	fn()
}

// ask gives a channel that is closed when the place is given.
func (b *bounds) ask(workspace uuid.UUID) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.byWorkspace[workspace]
	if own == nil {
		own = &bound{workspace: workspace}
		b.byWorkspace[workspace] = own
	}
	given := make(chan struct{})
	if len(own.queue) == 0 {
		b.order = append(b.order, own)
	}
	own.queue = append(own.queue, given)
	b.give()
	return given
}

func (b *bounds) leave(workspace uuid.UUID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.byWorkspace[workspace]
	own.held--
	b.free++
	if own.held == 0 && len(own.queue) == 0 {
		delete(b.byWorkspace, workspace)
	}
	b.give()
}

// give gives places while somebody waits who may have one.
func (b *bounds) give() {
	for len(b.order) > 0 {
		next := slices.MinFunc(b.order, func(x, y *bound) int { return x.held - y.held }) // the first of equals
		if next.held >= b.free {
			return
		}
		b.free--
		next.held++
		close(next.queue[0])
		next.queue = next.queue[1:]
		at := slices.Index(b.order, next)
		b.order = slices.Delete(b.order, at, at+1)
		if len(next.queue) > 0 {
			b.order = append(b.order, next)
		}
	}
}
