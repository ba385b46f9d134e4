package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/backfill"
	"github.com/relance/relance/cmd/relance/internal/plain"
	"github.com/relance/relance/platform/clock"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

type backfillCommand struct {
	Workspace string        `arg:"" help:"The workspace, workspaces/<uuid>."`
	Channel   []string      `default:"sms,email" enum:"sms,email" help:"Channels to compare, one after the other."`
	Since     time.Time     `help:"Go on with a backfill: the time it named when it was stopped (RFC 3339). Default: begin now."`
	DryRun    bool          `help:"Only count what would be compared."`
	Patience  time.Duration `default:"10m" help:"End when nothing could be compared for so long; the scheduler goes on by itself."`
	API       api.Flags     `embed:""`
}

// Run compares the whole history of a workspace with the provider. Ctrl-C is safe.
func (c backfillCommand) Run(ctx context.Context, s Streams) error {
	for _, channel := range c.Channel {
		b := backfill.Backfill{
			Client: api.New(c.API), Workspace: c.Workspace, Since: c.Since, DryRun: c.DryRun, Patience: c.Patience,
			Pause: 5 * time.Second, Out: s.Out, Progress: s.Err, Clock: clock.System(),
		}
		if err := b.Run(ctx, syncv1.Channel(syncv1.Channel_value["CHANNEL_"+strings.ToUpper(channel)])); err != nil {
			return err //nolint:wrapcheck // it says what
		}
	}
	return nil
}

type historyCommand struct {
	Name     string    `arg:"" help:"A workspace, workspaces/<uuid>, or one conversation, workspaces/<uuid>/leads/<uuid>/conversations/<sms|email>."`
	Unproven bool      `help:"Show only conversations that are not known to be complete."`
	Verify   bool      `help:"Compare the one conversation with the provider first; changes nothing but its certificate."`
	Output   string    `default:"text" enum:"text,json" help:"text, or json, one conversation a line."`
	API      api.Flags `embed:""`
}

// Run shows certificates.
func (c historyCommand) Run(ctx context.Context, s Streams) error {
	client := api.New(c.API)
	if strings.Contains(c.Name, "/conversations/") {
		return c.one(ctx, client, s.Out)
	}
	if c.Verify {
		return fmt.Errorf("history: --verify compares one conversation; name it, or use `relance backfill %s`", c.Name)
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CONVERSATION\tCOMPLETE\tPROVEN\tCOMPARED\tPROVIDER\tHERE\tDIFFER\tNEXT\tLAST REASON")
	proven, all := 0, 0
	for token := ""; ; {
		var page syncv1.ListConversationsResponse
		query := url.Values{"pageSize": {"500"}, "pageToken": {token}, "unprovenOnly": {fmt.Sprint(c.Unproven)}}
		if err := client.Get(ctx, "/v1/"+c.Name+"/conversations", query, &page); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		for _, row := range page.GetConversations() {
			if all++; row.GetProven() {
				proven++
			}
			if err := c.row(s.Out, table, row); err != nil {
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
	_, err := fmt.Fprintf(s.Out, "%d conversations: %d complete by the provider's lists, %d not proven\n", all, proven, all-proven)
	return err
}

func (c historyCommand) row(out io.Writer, table *tabwriter.Writer, row *syncv1.Conversation) error {
	if c.Output == "json" {
		return jsonLine(out, row)
	}
	_, err := fmt.Fprintf(table, "%s\t%t\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", row.GetName(), row.GetProven(), moment(row.GetProvenTime()),
		moment(row.GetCheckTime()), row.GetListedCount(), row.GetStoredCount(), row.GetDifferenceCount(), moment(row.GetNextTime()), plain.Line(row.GetLastReason()))
	return err
}

// one shows one certificate whole.
func (c historyCommand) one(ctx context.Context, client *api.Client, out io.Writer) error {
	var row *syncv1.Conversation
	if c.Verify {
		var answer syncv1.SyncConversationResponse
		if err := client.Post(ctx, "/v1/"+c.Name+":sync", &syncv1.SyncConversationRequest{VerifyOnly: true}, &answer); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		row = answer.GetConversation()
	} else {
		var answer syncv1.GetConversationResponse
		if err := client.Get(ctx, "/v1/"+c.Name, nil, &answer); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		row = answer.GetConversation()
	}
	if c.Output == "json" {
		return c.row(out, nil, row)
	}
	_, err := io.WriteString(out, certificateText(row))
	return err
}

// certificateText is a certificate as a person reads it.
func certificateText(row *syncv1.Conversation) string {
	var b strings.Builder
	verdict := "NOT PROVEN complete"
	if row.GetProven() {
		verdict = "complete: every message of the provider's lists is here, and none besides"
	}
	fmt.Fprintf(&b, "%s\n  %s\n  last compared %s, last proven %s, next %s\n", row.GetName(), verdict, moment(row.GetCheckTime()), moment(row.GetProvenTime()), moment(row.GetNextTime()))
	fmt.Fprintf(&b, "  provider  %6d messages  %s\n  here      %6d messages  %s\n", row.GetListedCount(), row.GetListedHash(), row.GetStoredCount(), row.GetStoredHash())
	if reason := row.GetLastReason(); reason != "" {
		fmt.Fprintf(&b, "  the last try did not end: %s\n", plain.Line(reason))
	}
	for _, group := range []struct {
		what string
		ids  []string
	}{{"missing here", row.GetMissing()}, {"not at the provider", row.GetExtra()}, {"differ", row.GetAltered()}} {
		if len(group.ids) > 0 {
			fmt.Fprintf(&b, "  %s: %s\n", group.what, plain.Line(strings.Join(group.ids, ", ")))
		}
	}
	if named := len(row.GetMissing()) + len(row.GetExtra()) + len(row.GetAltered()); int(row.GetDifferenceCount()) > named {
		fmt.Fprintf(&b, "  and %d more differences that are not named\n", int(row.GetDifferenceCount())-named)
	}
	return b.String()
}
