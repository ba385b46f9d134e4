package doctor_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/cmd/relance/internal/doctor"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/services/sync"
)

// A provider that was later than the send protocol assumes is told of, with what to do; one that was so long ago is not.
func TestLateProvidersAreExamined(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, sync.Migrations())
	examined := func() string {
		var out bytes.Buffer
		_ = doctor.Print(&out, doctor.Examine(t.Context(), doctor.Options{DatabaseURL: db.AdminDSN, Services: []string{"sync"}, Now: time.Now}))
		return squeeze(out.String())
	}
	if got := examined(); !strings.Contains(got, "ok providers in time none was later") {
		t.Errorf("nobody was late:\n%s", got)
	}
	conn, err := pgx.Connect(t.Context(), db.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `INSERT INTO sync.provider_lateness (provider, assumption, seen_ms, seen_time, sightings)
		VALUES ('ghl', 'A1', 293000, now(), 3), ('smartlead', 'A2', 1200000, now() - interval '8 days', 1)`)
	if err != nil {
		t.Fatal(err)
	}
	got := examined()
	if !strings.Contains(got, "warn providers in time ghl took a message 4m53s after its call was given up (A1; 3 times") ||
		!strings.Contains(got, "→ sends of unknown outcome wait longer") || strings.Contains(got, "smartlead") {
		t.Errorf("examined:\n%s", got)
	}
}
