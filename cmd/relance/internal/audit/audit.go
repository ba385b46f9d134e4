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
	"github.com/relance/relance/cmd/relance/internal/plain"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
)

// ErrDiscrepancies says that provider and database disagree; the report names each case.
var ErrDiscrepancies = errors.New("audit: provider and database disagree")

// ErrNoWorkspace says that the workspace that was named is not there, or not connected to GoHighLevel: nothing was compared.
var ErrNoWorkspace = errors.New("no such workspace with a connection")

// ErrNotAudited says that some workspaces could not be read whole: of them nothing is known, and what was found elsewhere stands.
var ErrNotAudited error = notAuditedError{}

type notAuditedError struct{}

func (notAuditedError) Error() string { return "audit: not every workspace could be audited" }

// ExitCode tells a run that found nothing where it could look from one that found something, which ends with 1.
func (notAuditedError) ExitCode() int { return 2 }

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

// Skipped is a workspace that could not be audited, and why.
type Skipped struct {
	Workspace string
	Cause     error
}

// Report is the outcome of an audit.
type Report struct {
	Findings []Finding
	// Skipped are the workspaces that could not be read whole. What was found in them before that is among the findings.
	Skipped []Skipped
	// Late are the providers that were later than the protocol assumes. They are no discrepancy: the protocol waits longer.
	Late []late.Provider
	// Workspaces were audited whole. Sends and Messages count what was compared; Foreign are API messages that are no send of ours, Pending
	// sends that are still being settled.
	Workspaces, Sends, Messages, Foreign, Pending int
}

type auditor struct {
	opts Options
	db   *pgxpool.Pool
	box  *secretbox.Box
}

// Sends audits the sends of every connected workspace and prints a report. It returns ErrDiscrepancies when there is one,
// ErrNotAudited when a workspace could not be read whole, since half an audit proves nothing, and both when both are so. A workspace
// that cannot be read, as with a token that is not taken any more, keeps none of the others from being audited.
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
		switch err := a.workspace(ctx, t, &report); {
		case err == nil:
			report.Workspaces++
		case ctx.Err() != nil || errors.Is(err, errDatabase):
			return report, fmt.Errorf("audit workspace %s: %w", t.workspace, err)
		default:
			report.Skipped = append(report.Skipped, Skipped{Workspace: t.workspace, Cause: err})
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
		fmt.Fprintf(&b, "%s: workspace %s send %s (%s) messages %s\n", f.Kind, f.Workspace, f.Intent, f.State, plain.Line(strings.Join(f.Messages, " ")))
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "not audited: workspace %s: %v\n", s.Workspace, plain.Line(s.Cause.Error()))
	}
	for _, p := range r.Late {
		fmt.Fprintf(&b, "late: %s\n  → %s\n", p, late.Remedy)
	}
	fmt.Fprintf(&b, "%d workspaces, %d sends, %d messages of the API at the provider; %d of them by others, %d sends not settled yet\n",
		r.Workspaces, r.Sends, r.Messages, r.Foreign, r.Pending)
	if len(r.Skipped) > 0 {
		fmt.Fprintf(&b, "%d workspaces were not audited\n", len(r.Skipped))
	}
	fmt.Fprintf(&b, "figure audit_discrepancies %d discrepancies n=%d\n", len(r.Findings), r.Sends)
	if _, err := io.WriteString(a.opts.Out, b.String()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	switch {
	case len(r.Findings) > 0 && len(r.Skipped) > 0:
		return discrepancies{fmt.Errorf("%w: %d discrepancies; %w: %d were not", ErrDiscrepancies, len(r.Findings), ErrNotAudited, len(r.Skipped))}
	case len(r.Findings) > 0:
		return discrepancies{fmt.Errorf("%w: %d discrepancies", ErrDiscrepancies, len(r.Findings))}
	case len(r.Skipped) > 0:
		return fmt.Errorf("%w: %d were not", ErrNotAudited, len(r.Skipped))
	default:
		return nil
	}
}

// discrepancies is an outcome with findings, whatever else was not audited.
type discrepancies struct{ error }

func (d discrepancies) Unwrap() error { return d.error }

// ExitCode is that of a finding.
func (discrepancies) ExitCode() int { return 1 }

// skew is how far the provider's clock may be from ours.
const skew = 2 * time.Minute

func (a *auditor) workspace(ctx context.Context, t tenant, report *Report) error {
	if t.broken != nil {
		return t.broken
	}
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
