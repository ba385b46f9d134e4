package cli_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/cli"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// statusGateway pages through rows as the gateway does.
func statusGateway(t *testing.T, rows []*syncv1.IngestionHealth) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/ingestionHealth" || r.Header.Get("Authorization") != "Bearer admin-secret-of-the-tests" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":16,"message":"credentials are missing or wrong"}`))
			return
		}
		size, _ := strconv.Atoi(r.URL.Query().Get("pageSize"))
		from, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
		to := min(from+size, len(rows))
		page := &syncv1.ListIngestionHealthResponse{IngestionHealth: rows[from:to]}
		if to < len(rows) {
			page.NextPageToken = strconv.Itoa(to)
		}
		raw, err := protojson.Marshal(page)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(raw)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func status(t *testing.T, gateway string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	args = append([]string{"status", "--gateway", gateway, "--admin-secret", "admin-secret-of-the-tests"}, args...)
	err := (cli.Streams{Out: &out, Err: &out}).Run(t.Context(), args)
	return out.String(), err
}

func healthy(i int) *syncv1.IngestionHealth {
	return &syncv1.IngestionHealth{
		Name: fmt.Sprintf("workspaces/%d/ingestionHealth", i), DisplayName: "Acme", GhlLocation: "l",
		ConnectionState: syncv1.ConnectionState_CONNECTION_STATE_CONNECTED, DeliveredCount: 2,
		LastPollTime: timestamppb.New(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)),
	}
}

func TestStatusOfEveryState(t *testing.T) {
	t.Parallel()
	rows := make([]*syncv1.IngestionHealth, 9)
	for i := range rows {
		rows[i] = healthy(i)
	}
	since := timestamppb.New(time.Date(2026, 1, 7, 14, 0, 0, 0, time.UTC))
	rows[1].ConnectionState = syncv1.ConnectionState_CONNECTION_STATE_UNSPECIFIED
	rows[2].ConnectionState = syncv1.ConnectionState_CONNECTION_STATE_AUTH_REVOKED
	rows[3].Silent, rows[3].SilentSinceTime, rows[3].FoundCount, rows[3].LossRate = true, since, 3, 0.6
	rows[4].BreakerEndTime = since
	rows[5].ParkedCount, rows[5].PendingCount = 2, 1
	rows[6].FoundCount, rows[6].LateCount, rows[6].LossRate, rows[6].DisplayName = 2, 1, 0.25, "tab\there\nand a line"
	whole := timestamppb.New(time.Date(2026, 1, 7, 14, 58, 0, 0, time.UTC))
	rows[7].AppointmentPolls = []*syncv1.AppointmentPoll{{Provider: "calendly", WholeTime: since}, {Provider: "ghl", WholeTime: whole}}
	rows[7].AppointmentPolls[0].Cursor, rows[7].AppointmentsFoundCount = "calendarBirch", 3
	rows[8].AppointmentPolls = []*syncv1.AppointmentPoll{{Provider: "ghl", WholeTime: whole, PollError: "PROVIDER_READ_FAILED"}}
	gateway := statusGateway(t, rows)
	out, err := status(t, gateway)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 11 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	for i, want := range []string{
		"LAST WEBHOOK", "ok", "not connected", "auth revoked", "SILENT since 2026-01-07T14:00:00Z", "polling paused until 2026-01-07T14:00:00Z",
		"parked webhooks", "25.0%",
		"2026-01-07T14:00:00Z, at calendarBirch  3                ok", "appointments of ghl: PROVIDER_READ_FAILED",
		"9 workspaces: 2 ok, 1 silent, 1 paused, 2 not connected, 3 other; last 24 h: 18 messages by webhook, 4 lost and found; 1 webhooks pending, 2 parked",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
		}
	}
	out, err = status(t, gateway, "--attention", "--output", "json")
	if err != nil || len(strings.Split(strings.TrimSpace(out), "\n")) != 7 || strings.Contains(out, "workspaces/0/") {
		t.Errorf("attention as JSON: %v\n%s", err, out)
	}
}

func TestStatusOfNoneAndOfManyWorkspaces(t *testing.T) {
	t.Parallel()
	out, err := status(t, statusGateway(t, nil))
	if err != nil || !strings.Contains(out, "no workspaces yet") {
		t.Errorf("none: %v\n%s", err, out)
	}
	const many = 10000
	rows := make([]*syncv1.IngestionHealth, many)
	for i := range rows {
		rows[i] = healthy(i)
	}
	gateway := statusGateway(t, rows)
	out, err = status(t, gateway)
	if err != nil || strings.Count(out, "\n") != many+2 || !strings.Contains(out, "10000 workspaces: 10000 ok") {
		t.Errorf("many: %v, %d lines", err, strings.Count(out, "\n"))
	}
	out, err = status(t, gateway, "--output", "json")
	if err != nil || strings.Count(out, "\n") != many {
		t.Errorf("many as JSON: %v, %d lines", err, strings.Count(out, "\n"))
	}
}

func TestStatusOfADeadGateway(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if _, err := status(t, server.URL); err == nil || !strings.Contains(err.Error(), "reach the gateway") {
		t.Errorf("dead: %v", err)
	}
	var out bytes.Buffer
	err := (cli.Streams{Out: &out, Err: &out}).Run(t.Context(), []string{"status", "--gateway", statusGateway(t, nil), "--admin-secret", "wrong-wrong-wrong-wrong"})
	if err == nil || !strings.Contains(err.Error(), "credentials are missing or wrong") {
		t.Errorf("wrong secret: %v", err)
	}
}
