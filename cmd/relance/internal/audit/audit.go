// Package audit compares what the provider holds with what our database says was sent. It is the independent check of the
// send protocol (docs/send-protocol.md, §3.4): its client, its SQL and its matching are its own, so that a mistake in the
// service cannot hide itself.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/cmd/relance/internal/late"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
)

// ErrDiscrepancies says that provider and database disagree; the report names each case.
var ErrDiscrepancies = errors.New("audit: provider and database disagree")

// ErrNoWorkspace says that the workspace that was named is not there, or not connected to GoHighLevel: nothing was compared.
var ErrNoWorkspace = errors.New("no such workspace with a connection")

// Options say what is audited.
type Options struct {
	// DSN is the database as the role relance_sync. Required.
	DSN string
	// Keyset opens tokens and texts. Required.
	Keyset string
	// BaseURL is the provider's host. Required.
	BaseURL string
	// Since is how far back to look; 48 h is the habit.
	Since time.Duration
	// Settle is how old an unsettled send must be to be a discrepancy; younger ones are still being looked for.
	Settle time.Duration
	// Workspace limits the audit to one (bare UUID); empty takes all that are connected.
	Workspace string
	// Pause is kept between two requests to the provider.
	Pause time.Duration
	// Now is the business time.
	Now func() time.Time
	// Out gets the report.
	Out io.Writer
}

// Kind is a sort of discrepancy.
type Kind string

// The discrepancies.
const (
	// ProviderOnly: accepted by the provider, not by us.
	ProviderOnly Kind = "accepted by the provider, not by us"
	// OursOnly: accepted by us, not by the provider.
	OursOnly Kind = "accepted by us, not by the provider"
	// Twice: two messages at the provider for one send.
	Twice Kind = "two messages at the provider for one send"
)

// Finding is one discrepancy.
type Finding struct {
	Kind Kind
	// Workspace, Intent and Messages name it; Messages are the provider's ids.
	Workspace, Intent, State string
	Messages                 []string
}

// Report is the outcome of an audit.
type Report struct {
	Findings []Finding
	// Late are the providers that were later than the protocol assumes. They are no discrepancy: the protocol waits longer.
	Late []late.Provider
	// Workspaces, Sends and Messages count what was compared; Foreign are API messages that are no send of ours, Pending
	// sends that are still being settled.
	Workspaces, Sends, Messages, Foreign, Pending int
}

type auditor struct {
	opts Options
	db   *pgxpool.Pool
	box  *secretbox.Box
}

// Sends audits the sends of every connected workspace and prints a report. It returns ErrDiscrepancies when there is one,
// and another error when something could not be read, since half an audit proves nothing.
func Sends(ctx context.Context, opts Options) (Report, error) {
	box, err := secretbox.New([]byte(opts.Keyset))
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	pool, err := postgres.Open(ctx, postgres.Config{DSN: opts.DSN, Schema: "sync", AppName: "relance-audit", MaxConns: 2})
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	defer pool.Close()
	a := &auditor{opts: opts, db: pool, box: box}
	tenants, err := a.tenants(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	if len(tenants) == 0 && opts.Workspace != "" {
		return Report{}, fmt.Errorf("audit: %w: %s", ErrNoWorkspace, opts.Workspace)
	}
	var report Report
	for _, t := range tenants {
		if err := a.workspace(ctx, t, &report); err != nil {
			return report, fmt.Errorf("audit workspace %s: %w", t.workspace, err)
		}
	}
	if report.Late, err = late.Providers(ctx, pool); err != nil {
		return report, fmt.Errorf("audit: %w", err)
	}
	return report, a.print(report)
}

func (a *auditor) print(r Report) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: workspace %s send %s (%s) messages %s\n", f.Kind, f.Workspace, f.Intent, f.State, strings.Join(f.Messages, " "))
	}
	for _, p := range r.Late {
		fmt.Fprintf(&b, "late: %s\n  → %s\n", p, late.Remedy)
	}
	fmt.Fprintf(&b, "%d workspaces, %d sends, %d messages of the API at the provider; %d of them by others, %d sends not settled yet\n",
		r.Workspaces, r.Sends, r.Messages, r.Foreign, r.Pending)
	fmt.Fprintf(&b, "figure audit_discrepancies %d discrepancies n=%d\n", len(r.Findings), r.Sends)
	if _, err := io.WriteString(a.opts.Out, b.String()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if len(r.Findings) > 0 {
		return fmt.Errorf("%w: %d discrepancies", ErrDiscrepancies, len(r.Findings))
	}
	return nil
}

// skew is how far the provider's clock may be from ours.
const skew = 2 * time.Minute

func (a *auditor) workspace(ctx context.Context, t tenant, report *Report) error {
	report.Workspaces++
	since := a.opts.Now().Add(-a.opts.Since)
	r := &reader{base: strings.TrimSuffix(a.opts.BaseURL, "/"), token: t.token, http: &http.Client{}, pause: a.opts.Pause}
	defer r.http.CloseIdleConnections()
	// The provider first: what is accepted between the two reads is then ours only and is asked for by its id.
	var messages []seen
	for _, channel := range []string{"sms", "email"} {
		page, err := r.messages(ctx, t.location, channel, since)
		if err != nil {
			return err
		}
		messages = append(messages, slices.DeleteFunc(page, func(m seen) bool {
			return m.Direction != "outbound" || (m.Source != "" && m.Source != "api")
		})...)
	}
	intents, err := a.intents(ctx, t.workspace, since)
	if err != nil {
		return err
	}
	report.Sends += len(intents)
	report.Messages += len(messages)
	c := compare{auditor: a, reader: r, tenant: t, report: report, intents: intents, held: map[string][]seen{}}
	if err := c.assign(ctx, messages); err != nil {
		return err
	}
	return c.judge(ctx)
}
