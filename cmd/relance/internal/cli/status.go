package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/plain"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

type statusCommand struct {
	Attention bool      `help:"Show only workspaces that need a look: silent, paused, not connected, losing or parking webhooks."`
	Output    string    `default:"table" enum:"table,json" help:"table, or json, one workspace a line."`
	API       api.Flags `embed:""`
}

// statusPage is how many workspaces are asked for at once.
const statusPage = "500"

// Run prints how each workspace's webhooks and poller stand, oldest workspace first, and a line that sums up.
func (c statusCommand) Run(ctx context.Context, s Streams) error {
	client, table, sum := api.New(c.API), newStatusTable(s.Out), statusSum{}
	for token := ""; ; {
		var page syncv1.ListIngestionHealthResponse
		err := client.Get(ctx, "/v1/ingestionHealth", url.Values{"pageSize": {statusPage}, "pageToken": {token}}, &page)
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		for _, h := range page.GetIngestionHealth() {
			sum.add(h)
			if c.Attention && statusOf(h) == statusOK {
				continue
			}
			if err := c.row(s.Out, table, h); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if c.Output == "json" {
		return nil
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err := fmt.Fprintln(s.Out, sum)
	return err
}

func (c statusCommand) row(out io.Writer, table *tabwriter.Writer, h *syncv1.IngestionHealth) error {
	if c.Output == "json" {
		return jsonLine(out, h)
	}
	_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%.1f%%\t%d\t%d\t%s\t%d\t%s\n", strings.TrimSuffix(h.GetName(), "/ingestionHealth"),
		plain.Line(h.GetDisplayName()), moment(h.GetLastWebhookTime()), moment(h.GetLastPollTime()), h.GetDeliveredCount(),
		h.GetFoundCount()-h.GetLateCount(), 100*h.GetLossRate(), h.GetPendingCount(), h.GetParkedCount(),
		appointmentsRead(h), h.GetAppointmentsFoundCount(), plain.Line(statusOf(h)))
	return err
}

// appointmentsRead is when all calendars had last been compared, of the provider where that is longest ago, with where a round that is
// under way stands; "-" without a connection that has calendars.
func appointmentsRead(h *syncv1.IngestionHealth) string {
	if len(h.GetAppointmentPolls()) == 0 {
		return "-"
	}
	oldest := h.GetAppointmentPolls()[0]
	for _, p := range h.GetAppointmentPolls() {
		if p.GetWholeTime().AsTime().Before(oldest.GetWholeTime().AsTime()) {
			oldest = p
		}
	}
	text := moment(oldest.GetWholeTime())
	if oldest.GetCursor() != "" {
		text += ", at " + plain.Line(oldest.GetCursor())
	}
	return text
}

// appointmentsError is why a provider's appointments are not compared; empty when they are.
func appointmentsError(h *syncv1.IngestionHealth) string {
	for _, p := range h.GetAppointmentPolls() {
		if p.GetPollError() != "" {
			return "appointments of " + p.GetProvider() + ": " + p.GetPollError()
		}
	}
	return ""
}

// jsonLine prints a message on one line, its zero values too.
func jsonLine(out io.Writer, m proto.Message) error {
	raw, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, string(raw))
	return err
}

func newStatusTable(out io.Writer) *tabwriter.Writer {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WORKSPACE\tNAME\tLAST WEBHOOK\tLAST POLL\tDELIVERED\tGAP\tLOSS\tPENDING\tPARKED\tAPPOINTMENTS READ\tAPPOINTMENT GAP\tSTATE")
	return w
}

const statusOK = "ok"

// statusOf is the first thing about a workspace that needs a look.
func statusOf(h *syncv1.IngestionHealth) string {
	switch {
	case h.GetConnectionState() == syncv1.ConnectionState_CONNECTION_STATE_UNSPECIFIED:
		return "not connected"
	case h.GetConnectionState() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED:
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(h.GetConnectionState().String(), "CONNECTION_STATE_"), "_", " "))
	case h.GetSilent():
		return "SILENT since " + moment(h.GetSilentSinceTime())
	case h.GetBreakerEndTime() != nil:
		return "polling paused until " + moment(h.GetBreakerEndTime())
	case h.GetParkedCount() > 0:
		return "parked webhooks"
	case h.GetPollError() != "":
		return "poll: " + h.GetPollError()
	case appointmentsError(h) != "":
		return appointmentsError(h)
	case h.GetLossRate() > 0:
		return "losing webhooks"
	default:
		return statusOK
	}
}

func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return "never"
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// statusSum sums up over all workspaces; the counts of states add up to the number of workspaces.
type statusSum struct {
	workspaces, fine, silent, paused, unconnected int
	delivered, gap, parked, pending               int64
}

func (s *statusSum) add(h *syncv1.IngestionHealth) {
	s.workspaces++
	s.delivered += int64(h.GetDeliveredCount())
	s.gap += int64(h.GetFoundCount() - h.GetLateCount())
	s.parked += int64(h.GetParkedCount())
	s.pending += int64(h.GetPendingCount())
	switch {
	case statusOf(h) == statusOK:
		s.fine++
	case h.GetConnectionState() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED:
		s.unconnected++
	case h.GetSilent():
		s.silent++
	case h.GetBreakerEndTime() != nil:
		s.paused++
	}
}

// String is the line below the table.
func (s statusSum) String() string {
	if s.workspaces == 0 {
		return "no workspaces yet; make one with POST /v1/workspaces or /api/admin/workspaces"
	}
	other := s.workspaces - s.fine - s.silent - s.paused - s.unconnected
	return fmt.Sprintf("%d workspaces: %d ok, %d silent, %d paused, %d not connected, %d other; last 24 h: %d messages by webhook, %d lost and found; %d webhooks pending, %d parked",
		s.workspaces, s.fine, s.silent, s.paused, s.unconnected, other, s.delivered, s.gap, s.pending, s.parked)
}
