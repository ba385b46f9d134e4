package mirror_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/sending"
)

const trails = `SELECT (SELECT count(*) FROM history_walk) + (SELECT count(*) FROM history_walk_part)`

// several walks until one comes to its end, each by a process of its own, and tells how many it took.
func (r *rig) several(pages, part int) (mirror.Receipt, int) {
	r.Helper()
	for runs := 1; runs < 100; runs++ {
		got, err := r.replica().Bound(pages, part).Sync(r.Context(), r.thread, false)
		if err == nil {
			return got, runs
		}
		if !errors.Is(err, mirror.ErrTooLong) || !got.Kept {
			r.Fatalf("run %d: kept %v, %v", runs, got.Kept, err)
		}
	}
	r.Fatal("never comes to an end")
	return mirror.Receipt{}, 0
}

// A conversation of more pages than one run reads is certified by several, which read no page twice but the newest ones; what is said
// meanwhile is in the certificate, which is the one that a single run writes.
func TestALongConversationIsCertifiedOverSeveralRuns(t *testing.T) {
	t.Parallel()
	const all, pages = 60, 7
	d := &desk{talks: all, exported: all, perPage: 2}
	d.refuse = func(list, cursor string) (int, bool) {
		if list == "export" && cursor == "30" && d.talks == all { // in the middle, somebody writes
			d.talks, d.exported = all+1, all+1
		}
		return 0, false
	}
	r := newRig(t, d)
	got, runs := r.several(pages, 3)
	r.whole(got, all+1)
	if runs < 8 {
		t.Errorf("control: %d runs", runs)
	}
	// The lists have all/2 pages each. Anew are read: the list of a page that was interrupted, and the newest page of both.
	if n := len(d.asked()); n > all+1+4 {
		t.Errorf("%d pages were asked for", n)
	}
	if n := r.text(trails); n != "0" {
		t.Errorf("%s rows are left of the walk", n)
	}
	again, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil || !bytes.Equal(again.Conversation.ListedHash, got.Conversation.ListedHash) {
		t.Errorf("a walk in one run: %v, another certificate", err)
	}
}

// A process that dies keeps at most a part: whatever page it dies at, the next goes on and certifies the whole.
func TestAKilledLongWalkGoesOn(t *testing.T) {
	t.Parallel()
	const all = 16
	for page := 1; page <= all; page++ {
		d := &desk{talks: all, exported: all, perPage: 2}
		r := newRig(t, d)
		r.asOwner(`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$`)
		r.asOwner(fmt.Sprintf(`CREATE TRIGGER die BEFORE UPDATE ON history_import FOR EACH ROW WHEN (NEW.pages = %d) EXECUTE FUNCTION die()`, page))
		if _, err := r.replica().Bound(1000, 3).Sync(t.Context(), r.thread, false); err == nil {
			t.Fatal("control: it did not die")
		}
		r.asOwner(`DROP TRIGGER die ON history_import`)
		parts, before := r.text(`SELECT count(*) FROM history_walk_part`), len(d.asked())
		if want := fmt.Sprint((page - 1) / 3); parts != want {
			t.Errorf("page %d: %s parts, want %s", page, parts, want)
		}
		got, err := r.replica().Bound(1000, 3).Sync(t.Context(), r.thread, false)
		if err != nil {
			t.Fatal(err)
		}
		r.whole(got, all)
		// What is left of the two lists, at most a part read again, and the newest page of each; without a part, what is left and all.
		if n := len(d.asked()) - before; parts != "0" && n > all-page+1+2+2 {
			t.Errorf("page %d: %d pages were asked for afterwards", page, n)
		}
	}
}

// What was seen of another list proves nothing of this one.
func TestAWalkOfAnotherListBeginsAnew(t *testing.T) {
	t.Parallel()
	const all = 30
	for name, c := range map[string]struct {
		change func(*rig)
		on     bool
	}{
		"control":              {func(*rig) {}, true},
		"another contact":      {func(r *rig) { r.exec(`UPDATE lead SET ghl_contact_id = 'contactBob000000002'`) }, false},
		"another conversation": {func(r *rig) { r.desk.conversationID = "conversationBob0002" }, false},
		"yesterday's":          {func(r *rig) { r.clock.Advance(25 * time.Hour) }, false},
		"broken":               {func(r *rig) { r.exec(`UPDATE history_walk_part SET listed = 'x'`) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{talks: all, exported: all, perPage: 2}
			r := newRig(t, d)
			if got, err := r.replica().Bound(12, 3).Sync(t.Context(), r.thread, false); !errors.Is(err, mirror.ErrTooLong) || !got.Kept {
				t.Fatal(err)
			}
			c.change(r)
			r.exec(`UPDATE history_import SET cursor = ''`)
			before := len(d.asked())
			got, err := r.replica().Bound(1000, 3).Sync(t.Context(), r.thread, false)
			if err != nil {
				t.Fatal(err)
			}
			r.whole(got, all)
			if first := d.asked()[before]; (first != "conversation ") != c.on {
				t.Errorf("it went on with %q", first)
			}
		})
	}
}

// Several processes at the same conversation take the walk from each other; whoever ends it certifies the whole.
func TestReplicasShareALongWalk(t *testing.T) {
	t.Parallel()
	const all = 80
	r := newRig(t, &desk{talks: all, exported: all, perPage: 4})
	var group sync.WaitGroup
	for range 4 {
		m := r.replica().Bound(9, 2)
		group.Go(func() {
			for range 200 {
				got, err := m.Sync(t.Context(), r.thread, false)
				if err == nil {
					r.whole(got, all)
					return
				}
				if !errors.Is(err, mirror.ErrTooLong) {
					t.Error(err)
					return
				}
			}
			t.Error("never comes to an end")
		})
	}
	group.Wait()
}

// What is due goes on with a long conversation a minute later, and does not take it for a failure.
func TestALongConversationIsDueSoon(t *testing.T) {
	t.Parallel()
	const all = 60
	r := newRig(t, &desk{talks: all, exported: all, perPage: 2})
	r.exec(`INSERT INTO connection (workspace_id, location, token_enc, state, state_time) VALUES ($1, 'l', '', 'CONNECTED', now())`, r.thread.Workspace)
	r.exec(`INSERT INTO conversation (workspace_id, lead_id, channel, next_time) VALUES ($1, $2, 'sms', $3)`, r.thread.Workspace, r.thread.Lead, r.clock.Now())
	m := r.replica().Bound(10, 3)
	for runs := range 100 {
		run, err := m.RunDue(t.Context(), mirror.Due{Budget: time.Minute})
		if err != nil || run.Checked != 1 {
			t.Fatalf("run %d: %+v %v", runs, run, err)
		}
		if run.Proven == 1 {
			if runs < 5 {
				t.Errorf("control: proven by run %d", runs)
			}
			return
		}
		if why := r.text(`SELECT last_reason || failures FROM conversation`); run.Deferred != 1 || why != "WALK_GOES_ON0" {
			t.Fatalf("run %d: %+v, %s", runs, run, why)
		}
		r.clock.Advance(time.Minute)
	}
	t.Error("never proven")
}

// A page of emails takes a call for each: those whose texts were read are not read again when the provider stops answering.
func TestTextsOfEmailsAreReadOnce(t *testing.T) {
	t.Parallel()
	const all = 12
	left := 5
	d := &desk{talks: all, exported: all, emails: func(int) bool { left--; return left < 0 }}
	r := newRig(t, d)
	r.thread.Channel = sending.Email
	for range 3 {
		if got, err := r.replica().Sync(t.Context(), r.thread, false); err == nil {
			r.whole(got, all)
			break
		}
		left = 5
	}
	read := 0
	for _, call := range d.asked() {
		if strings.HasPrefix(call, "email ") {
			read++
		}
	}
	if n := r.text(`SELECT count(*) FROM message`); n != fmt.Sprint(all) || read > all+2 { // two could not be read
		t.Errorf("%s stored, %d texts were asked for", n, read)
	}
}
