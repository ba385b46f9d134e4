package sender

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// company is how long a batch waits for those who are about to come. A batch costs the database the same few milliseconds for
// one send as for ten, so a busy workspace gets more sends through when its batches fill. A send that is alone waits for
// nobody, and no batch waits for more than half of those that were lately present at once: one half is claimed while the
// other is with the provider.
const company = 6 * time.Millisecond

// lately is how long it is remembered how many sends were present at once. Those of a busy workspace come in waves: the next
// one follows the answers to the last, when for a moment nobody is there.
const lately = 100 * time.Millisecond

// traffic counts the sends of a workspace that take the short way. The zero value is ready.
type traffic struct {
	mu sync.Mutex
	// present are those that were asked for and are not answered, claimed those of them between claim and outcome.
	present, claimed int
	// crest is the most that were present at once since began, before the same of the period before that.
	crest, before int
	began         time.Time
}

// enter counts a send that begins.
func (t *traffic) enter(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.present++
	t.roll(now)
	t.crest = max(t.crest, t.present)
}

// leave counts one that is answered.
func (t *traffic) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.present--
}

// claim adds n to those between claim and outcome.
func (t *traffic) claim(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.claimed += n
}

// roll begins a new period when this one is over.
func (t *traffic) roll(now time.Time) {
	age := now.Sub(t.began)
	if age < lately {
		return
	}
	t.before = t.crest
	if age >= 2*lately {
		t.before = 0
	}
	t.crest, t.began = t.present, now
}

// half reports whether so many are half of those lately present.
func (t *traffic) half(waiting int, now time.Time) bool {
	t.roll(now)
	return 2*waiting >= max(t.crest, t.before)
}

// claimsComing: whoever sends much sends again when its sends have their outcome.
func (t *traffic) claimsComing(waiting int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.half(waiting, now)
}

// acceptancesComing: more calls are out than have ended.
func (t *traffic) acceptancesComing(waiting int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.claimed > waiting && !t.half(waiting, now)
}

func (s *Sender) trafficOf(workspace uuid.UUID) *traffic {
	known, ok := s.under.Load(workspace)
	if !ok {
		known, _ = s.under.LoadOrStore(workspace, &traffic{})
	}
	return known.(*traffic) //nolint:forcetypeassert // nothing else is kept there
}

func (s *Sender) claimsComing(workspace uuid.UUID, waiting int) bool {
	return s.trafficOf(workspace).claimsComing(waiting, s.machine.Now())
}

func (s *Sender) acceptancesComing(workspace uuid.UUID, waiting int) bool {
	return s.trafficOf(workspace).acceptancesComing(waiting, s.machine.Now())
}
