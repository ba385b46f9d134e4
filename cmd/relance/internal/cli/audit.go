package cli

import (
	"context"
	"strings"
	"time"

	"github.com/relance/relance/cmd/relance/internal/audit"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/postgres"
)

type auditCommand struct {
	Sends auditSends `cmd:"" help:"Compare the provider's messages with the sends here; exit code 1 when they disagree."`
}

type auditSends struct {
	DatabaseURL string        `env:"RELANCE_DATABASE_URL" required:"" help:"Database to audit, as the owner of its objects."`
	Keyset      config.Secret `env:"RELANCE_KEYSET" required:"" help:"Encryption keyset, as JSON or @file."`
	GHLBaseURL  string        `name:"ghl-base-url" env:"RELANCE_GHL_BASE_URL" default:"https://services.leadconnectorhq.com" help:"Base URL of the GoHighLevel API."`
	Since       time.Duration `default:"48h" help:"How far back to compare."`
	Settle      time.Duration `default:"30m" help:"Age from which a send that is not settled counts as a discrepancy."`
	Workspace   string        `help:"Audit this workspace (UUID, or workspaces/<uuid>) only."`
	Pause       time.Duration `default:"300ms" help:"Pause between two requests, so that sending keeps the quota."`
}

// Run audits and prints.
func (c auditSends) Run(ctx context.Context, s Streams) error {
	_, err := audit.Sends(ctx, audit.Options{
		DSN: postgres.RoleDSN(c.DatabaseURL, "sync"), Keyset: c.Keyset.Reveal(), BaseURL: c.GHLBaseURL, Since: c.Since, Settle: c.Settle,
		Workspace: strings.TrimPrefix(c.Workspace, "workspaces/"), Pause: c.Pause, Now: clock.System().Now, Out: s.Out,
	})
	return err
}
