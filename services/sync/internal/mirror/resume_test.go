package mirror_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/mirror"
)

const cursorNow = `SELECT cursor FROM history_import`

// A walk that ends anywhere, as a killed process does, leaves whole pages and the place of the next; another process goes on
// there. Every request of the walk is tried as the last one, once while the page before it is stored, once when it is.
func TestAKilledWalkGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"while a page is stored": false, "when it is stored": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedAtEach(t, after)
		})
	}
}

func killedAtEach(t *testing.T, afterCommit bool) {
	t.Helper()
	const all = 9
	resumed := 0
	for last := 1; ; last++ {
		d := &desk{talks: 7, exported: all, perPage: 2}
		r := newRig(t, d)
		ctx, kill := context.WithCancel(t.Context())
		d.refuse = func(list, cursor string) (int, bool) {
			if len(d.asked()) == last {
				if afterCommit && last > 1 {
					r.stored(list + "|")
					r.stored("|" + cursor)
				}
				kill()
				return http.StatusBadGateway, true
			}
			return 0, false
		}
		_, err := r.replica().Sync(ctx, r.thread, false)
		kill()
		if err == nil {
			break // The whole walk took fewer requests.
		}
		place, before := r.text(cursorNow), len(d.asked())
		d.refuse = nil
		got, err := r.replica().Sync(t.Context(), r.thread, false)
		if err != nil {
			t.Fatalf("after %d requests: %v", last, err)
		}
		r.whole(got, all)
		if got.Imported > all || place == "" && last > 2 || place == "" && last > 1 && afterCommit {
			t.Errorf("after %d requests: place %q, %d imported", last, place, got.Imported)
		}
		if place == "" {
			continue
		}
		resumed++
		list, cursor := strings.Split(place, "|")[0], place[strings.LastIndex(place, "|")+1:]
		if first := d.asked()[before]; first != list+" "+cursor {
			t.Errorf("after %d requests: went on with %q, want the stored place %q", last, first, place)
		}
	}
	if resumed < 7-1 || resumed < 7 && afterCommit {
		t.Errorf("%d places tried, want each page of both lists", resumed)
	}
}

// What a page had stored is there only with the place of the next: a commit that fails leaves neither.
func TestAPageAndItsPlaceAreOneCommit(t *testing.T) {
	t.Parallel()
	d := &desk{exported: 6, perPage: 2}
	r := newRig(t, d)
	r.asOwner(`CREATE FUNCTION fail_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.cursor LIKE '%|2' THEN RAISE EXCEPTION 'planted'; END IF; RETURN NEW; END $$`)
	r.asOwner(`CREATE TRIGGER fail_second BEFORE UPDATE ON history_import FOR EACH ROW EXECUTE FUNCTION fail_second()`)
	if _, err := r.replica().Sync(t.Context(), r.thread, false); err == nil {
		t.Fatal("the planted failure did not show")
	}
	if n := r.text(`SELECT count(*) FROM message`); n != "2" || !strings.HasSuffix(r.text(cursorNow), "|4") {
		t.Errorf("%s messages, place %q; want the first page and its place", n, r.text(cursorNow))
	}
	r.asOwner(`DROP TRIGGER fail_second ON history_import`)
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	r.whole(got, 6)
}

// The provider's cursors expire: the walk goes back no further than it must, and ends.
func TestAnExpiredCursorFallsBackAndAdvances(t *testing.T) {
	t.Parallel()
	for name, expired := range map[string]struct {
		list, cursor string
		want         int
	}{
		"of the export":       {"export", "6", 10},
		"of the conversation": {"conversation", idOf(6), 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{talks: 10, exported: 10, perPage: 2}
			times := 0
			d.refuse = func(list, cursor string) (int, bool) {
				if list == expired.list && cursor == expired.cursor && times == 0 {
					times++
					return http.StatusBadRequest, true
				}
				return 0, false
			}
			r := newRig(t, d)
			got, err := r.replica().Sync(t.Context(), r.thread, false)
			if err != nil {
				t.Fatal(err)
			}
			r.whole(got, expired.want)
			if times != 1 {
				t.Error("control: no cursor was refused")
			}
		})
	}
}

// A cursor that expires on every page of the export costs one call a page and no more.
func TestCursorsThatAllExpireStillEnd(t *testing.T) {
	t.Parallel()
	d := &desk{exported: 40, perPage: 5}
	d.refuse = func(_, cursor string) (int, bool) { return http.StatusBadRequest, cursor != "" }
	r := newRig(t, d)
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	r.whole(got, 40)
	// Windows overlap by the message of their bound and the millisecond's neighbour: 4 of 5 are new.
	if n := len(d.asked()); n > 2*40/3 {
		t.Errorf("%d calls", n)
	}
}

// Without a way back the place is forgotten, so that the next walk begins anew; a refused token forgets nothing.
func TestAPlaceThatLeadsNowhereIsForgotten(t *testing.T) {
	t.Parallel()
	for status, kept := range map[int]bool{http.StatusBadRequest: false, http.StatusUnauthorized: true, http.StatusTooManyRequests: true, http.StatusBadGateway: true} {
		d := &desk{talks: 6, exported: 6, perPage: 2}
		d.refuse = func(list, cursor string) (int, bool) { return status, list == "conversation" && cursor == idOf(2) }
		r := newRig(t, d)
		if _, err := r.replica().Sync(t.Context(), r.thread, false); err == nil {
			t.Fatalf("%d: no error", status)
		}
		if place := r.text(cursorNow); (place != "") != kept {
			t.Errorf("%d: place %q", status, place)
		}
		d.refuse = nil
		got, err := r.replica().Sync(t.Context(), r.thread, false)
		if err != nil {
			t.Fatal(err)
		}
		r.whole(got, 6)
	}
}

// Two replicas that walk the same conversation store each message once and count it once.
func TestTwoReplicasImportTheSameConversation(t *testing.T) {
	t.Parallel()
	const all, replicas = 400, 4
	d := &desk{talks: all, exported: all, perPage: 20}
	r := newRig(t, d)
	var group sync.WaitGroup
	receipts := make([]mirror.Receipt, replicas)
	for i := range replicas {
		m := r.replica()
		group.Go(func() {
			var err error
			if receipts[i], err = m.Sync(t.Context(), r.thread, false); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	imported, busy := 0, 0
	for _, got := range receipts {
		if imported += got.Imported; got.Imported > 0 {
			busy++
		}
	}
	if imported != all {
		t.Errorf("%d imported by %d replicas, want %d", imported, replicas, all)
	}
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil || got.Imported+got.Healed != 0 {
		t.Fatalf("afterwards: %+v %v", got, err)
	}
	r.whole(got, all)
	if n := r.text(`SELECT sum(1 + cardinality(more)) FROM conversation_change WHERE kind = 'MESSAGE_ADDED'`); n != fmt.Sprint(all) {
		t.Errorf("%s changes told, want %d", n, all)
	}
	t.Logf("%d of %d replicas stored something", busy, replicas)
}

// The export is asked for as many messages at a time as the provider gives.
func TestTheExportIsReadInLargePages(t *testing.T) {
	t.Parallel()
	d := &desk{exported: 1200, text: func(int) string { return strings.Repeat("\x01é<", 530) }} // 1,600 characters, escaped at length
	r := newRig(t, d)
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	r.whole(got, 1200)
	if want := []string{"export ", "export 700", "export 200"}; !slices.Equal(d.asked(), want) {
		t.Errorf("asked %q, want %q", d.asked(), want)
	}
	if at := r.text(`SELECT min(message_time) FROM message`); !strings.HasPrefix(at, noon.Format(time.DateOnly)) {
		t.Errorf("oldest at %s", at)
	}
}

// stored waits until the place of a walk has a text in it.
func (r *rig) stored(part string) {
	r.Helper()
	for begin := time.Now(); !strings.Contains(r.text(cursorNow), part); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			r.Errorf("the place is %q, want one with %q", r.text(cursorNow), part)
			return
		}
	}
}
