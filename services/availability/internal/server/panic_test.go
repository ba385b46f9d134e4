package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// broken is a reader with a bug.
type broken struct{}

func (broken) FreeSlots(context.Context, look.Ask) (look.Answer, error) { panic("index out of range") }

func (broken) Host(look.Ask) string { return "" }

// TestAPanicIsAnUnreadableCalendar: what a calendar answers ends neither the process nor the looks at others.
func TestAPanicIsAnUnreadableCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.newReplica(t, provider.Router{calendar.GHL: broken{}}, w.db.DSN(store.Schema))
	name := w.workspace(t)
	w.link(t, name)
	key := slots.Default(uuid.MustParse(strings.TrimPrefix(name, "workspaces/")))
	row, err := r.refresher.Fresh(t.Context(), key, w.clock.Now().Add(time.Hour))
	if err != nil || row.State != slots.StateUnreachable || row.LastError != "BAD_ANSWER" {
		t.Errorf("%s %q, %v; want an unreachable calendar", row.State, row.LastError, err)
	}
}
