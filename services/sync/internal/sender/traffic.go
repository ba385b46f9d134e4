package sender

import (
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// company is how long a batch waits for those who are about to come. A batch costs the database the same few milliseconds for
// one send as for ten, so a busy workspace gets more sends through when its batches fill. A send that is alone waits for
// nobody, and no batch waits for more than half of what is under way.
const company = 6 * time.Millisecond

// claimedOf counts the sends of a workspace that are between their claim and their outcome, on the short way.
func (s *Sender) claimedOf(workspace uuid.UUID) *atomic.Int32 {
	known, ok := s.claimed.Load(workspace)
	if !ok {
		known, _ = s.claimed.LoadOrStore(workspace, &atomic.Int32{})
	}
	return known.(*atomic.Int32) //nolint:forcetypeassert // nothing else is kept there
}

// claimsComing: whoever sends much sends again when its sends have their outcome.
func (s *Sender) claimsComing(workspace uuid.UUID, waiting int) bool {
	return int(s.claimedOf(workspace).Load()) > waiting
}

// acceptancesComing: more calls are out than have ended.
func (s *Sender) acceptancesComing(workspace uuid.UUID, waiting int) bool {
	return int(s.claimedOf(workspace).Load()) > 2*waiting
}
