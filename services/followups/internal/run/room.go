package run

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/store"
)

// room is what a run may hold claimed and not yet recorded. A workspace is given more only while it would hold no more
// than stays free, as with bounds: one whose messages take long fills half of the room and never all, so that others are
// claimed beside it. It is safe for concurrent use.
type room struct {
	// least is the smallest claim for a workspace that has some under way: smaller ones cost more than they bring.
	least int

	mu   sync.Mutex
	free int
	held map[uuid.UUID]int
	// changed tells that the run is idle, or that some workspace may have more.
	changed chan struct{}
}

func newRoom(size, least int) *room {
	return &room{least: max(least, 1), free: size, held: map[uuid.UUID]int{}, changed: make(chan struct{}, 1)}
}

// bound bounds a claim to what there is room for: in all, for each workspace with work under way, and for every other. It
// reports false when there is no room at all.
func (r *room) bound(claim store.Claim) (store.Claim, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	claim.Size = min(claim.Size, r.free)
	claim.Shares, claim.Others = make(map[uuid.UUID]int, len(r.held)), max(r.share(uuid.Nil), 1)
	for workspace := range r.held {
		claim.Shares[workspace] = r.share(workspace)
	}
	return claim, claim.Size > 0
}

func (r *room) share(workspace uuid.UUID) int {
	held := r.held[workspace]
	most := (r.free - held) / 2 // then it holds no more than is free
	if most < 1 || held > 0 && most < r.least {
		return 0
	}
	return most
}

func (r *room) take(workspace uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free--
	r.held[workspace]++
}

func (r *room) leave(works []*work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := make(map[uuid.UUID]int, len(works))
	for _, w := range works {
		workspace := w.item.Enrollment.Workspace
		if _, seen := before[workspace]; !seen {
			before[workspace] = r.share(workspace)
		}
	}
	for _, w := range works {
		r.free++
		workspace := w.item.Enrollment.Workspace
		if r.held[workspace]--; r.held[workspace] == 0 {
			delete(r.held, workspace)
		}
	}
	opened := len(r.held) == 0
	for workspace, share := range before {
		opened = opened || share == 0 && r.share(workspace) > 0
	}
	if opened {
		select {
		case r.changed <- struct{}{}:
		default: // it is told already
		}
	}
}

func (r *room) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held) == 0
}

// wait returns when the run is idle, when a workspace that was full may have more, after the time, or with ctx.
func (r *room) wait(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.changed:
	case <-timer.C:
	}
}
