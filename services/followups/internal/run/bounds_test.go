package run

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store"
)

func given(ask <-chan struct{}) bool {
	select {
	case <-ask:
		return true
	default:
		return false
	}
}

// However many a workspace asks for and however long it keeps them, the next one has a place.
func TestNoWorkspaceHoldsAllPlaces(t *testing.T) {
	t.Parallel()
	b := newBounds(64)
	holds := []int{}
	for range 4 { // workspaces whose provider hangs, one after another
		hanging, n := uuid.New(), 0
		for range 100 {
			if given(b.ask(hanging)) {
				n++
			}
		}
		holds = append(holds, n)
	}
	if holds[0] != 32 || holds[1] != 16 || holds[2] != 8 || holds[3] != 4 {
		t.Fatalf("hanging workspaces hold %v of 64 places", holds)
	}
	if !given(b.ask(uuid.New())) {
		t.Fatal("four hanging workspaces keep another one waiting")
	}
}

func TestPlaceGoesToWhoHoldsLeastInOrder(t *testing.T) {
	t.Parallel()
	b, large, small := newBounds(4), uuid.New(), uuid.New()
	for range 2 {
		if !given(b.ask(large)) {
			t.Fatal("a free place was not given")
		}
	}
	waiting := []<-chan struct{}{b.ask(large), b.ask(large)}
	if !given(b.ask(small)) {
		t.Fatal("who holds none waits for who holds two")
	}
	second := b.ask(small)
	if given(waiting[0]) || given(second) {
		t.Fatal("more than stays free was given")
	}
	b.leave(large) // one each: who has waited longest
	if !given(waiting[0]) || given(second) {
		t.Fatal("of two that hold as many, the first to wait was not served")
	}
	b.leave(large) // one each again, and large was served last
	if !given(second) || given(waiting[1]) {
		t.Fatal("who was served last was served again")
	}
}

// Whatever the order of asking and leaving, places are neither lost nor made.
func TestPlacesAreConserved(t *testing.T) {
	t.Parallel()
	b, random := newBounds(16), rand.New(rand.NewPCG(1, 2))
	workspaces := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	type holder struct {
		workspace uuid.UUID
		place     <-chan struct{}
	}
	var all []holder
	for range 20_000 {
		if len(all) > 0 && random.IntN(2) == 0 {
			at := random.IntN(len(all))
			if given(all[at].place) {
				b.leave(all[at].workspace)
				all = append(all[:at], all[at+1:]...)
			}
			continue
		}
		if len(all) < 200 {
			workspace := workspaces[random.IntN(len(workspaces))]
			all = append(all, holder{workspace, b.ask(workspace)})
		}
	}
	for len(all) > 0 {
		at := 0
		for at < len(all) && !given(all[at].place) {
			at++
		}
		if at == len(all) {
			t.Fatalf("%d wait, %d places are free, and none is given", len(all), b.free)
		}
		b.leave(all[at].workspace)
		all = append(all[:at], all[at+1:]...)
	}
	if b.free != 16 || len(b.byWorkspace) != 0 || len(b.order) != 0 {
		t.Fatalf("%d of 16 places are free, %d workspaces kept", b.free, len(b.byWorkspace))
	}
}

func of(workspace, lead uuid.UUID) *work {
	return &work{item: store.Item{Enrollment: followup.Enrollment{ID: uuid.New(), Workspace: workspace, Lead: lead}}}
}

// Works of one lead run in the order in which they came and never two at once; those of others run beside them, as many as
// there are places.
func TestLanesKeepTheOrderOfALeadAndTheBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const leads, each, places = 40, 5, 16
		var mu sync.Mutex
		underWay, most := 0, 0
		busy, order := map[uuid.UUID]bool{}, map[uuid.UUID][]*work{}
		l := newLanes(newBounds(places), func(w *work) {
			lead := w.item.Enrollment.Lead
			mu.Lock()
			if busy[lead] {
				t.Error("two messages to one lead at once")
			}
			busy[lead] = true
			order[lead] = append(order[lead], w)
			underWay++
			most = max(most, underWay)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			busy[lead] = false
			underWay--
			mu.Unlock()
		})
		want := map[uuid.UUID][]*work{}
		workspaces, ids := []uuid.UUID{uuid.New(), uuid.New()}, make([]uuid.UUID, leads)
		for i := range ids {
			ids[i] = uuid.New()
		}
		began := time.Now()
		for range each {
			for i, lead := range ids {
				w := of(workspaces[i%2], lead)
				want[lead] = append(want[lead], w)
				l.add(w)
			}
		}
		l.wait()
		for lead, works := range want {
			for i, w := range works {
				if order[lead][i] != w {
					t.Fatalf("work %d of a lead came out of its turn", i)
				}
			}
		}
		if most > places || most < places/2 {
			t.Fatalf("%d at once with %d places", most, places)
		}
		if took := time.Since(began); took > leads*each/(places/2)*time.Second {
			t.Fatalf("took %v", took) // one after another it would be 200 s
		}
	})
}

// What a run holds stays within its room, no workspace takes more than half of it, and one that has nothing under way gets
// in beside one that is full.
func TestRoomIsSharedAndBounded(t *testing.T) {
	t.Parallel()
	r, slow := newRoom(800, 50), uuid.New()
	claim := func(workspace uuid.UUID, due int) int {
		bounded, ok := r.bound(store.Claim{Size: 200})
		share, known := bounded.Shares[workspace]
		if !known {
			share = bounded.Others
		}
		n := min(bounded.Size, share, due)
		if !ok {
			n = 0
		}
		for range n {
			r.take(workspace)
		}
		return n
	}
	held := 0
	for n := claim(slow, 1000); n > 0; n = claim(slow, 1000) {
		held += n
	}
	if held < 300 || held > 400 {
		t.Fatalf("a workspace alone holds %d of 800", held)
	}
	if got := claim(uuid.New(), 10); got != 10 {
		t.Fatalf("beside a full workspace another one may claim %d of 10", got)
	}
	for range 2000 {
		claim(uuid.New(), 1000)
	}
	if r.free < 0 {
		t.Fatalf("%d more than there is room for", -r.free)
	}
	drain := make([]*work, held)
	for i := range drain {
		drain[i] = of(slow, uuid.New())
	}
	given := r.changed
	r.leave(drain)
	select {
	case <-given:
	default:
		t.Fatal("room came free and nobody was told")
	}
	if claim(slow, 1000) == 0 {
		t.Fatal("no room after all was recorded")
	}
}
