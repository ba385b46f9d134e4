package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/relance/relance/cmd/relance/internal/stack"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/secretbox"
)

type migrateCommand struct {
	DatabaseURL string `env:"RELANCE_DATABASE_URL" required:"" help:"PostgreSQL 15 or newer, as a role that may create schemas and roles."`
}

// Run migrates every service's schema.
func (c migrateCommand) Run(ctx context.Context, s Streams) error {
	for _, m := range stack.Migrations() {
		if err := postgres.Migrate(ctx, c.DatabaseURL, m); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(s.Out, "%s: up to date, role %s\n", m.Service, postgres.Role(m.Service)); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

type tokenCommand struct {
	Cert      string `required:"" help:"PEM file of the gateway's certificate."`
	Key       string `required:"" help:"PEM file of its key."`
	CA        string `required:"" help:"PEM file of the authority."`
	Principal string `default:"system:admin" help:"Whom to act as: system:admin, system:cron, user:<id>, with @<workspace> to bind it."`
	Audience  string `required:"" enum:"sync,followups,availability" help:"Service the token is for."`
}

// Run prints a token, valid for 60 s, that only counts over a connection with the same certificate.
func (c tokenCommand) Run(s Streams) error {
	who, err := principal.Parse(c.Principal)
	if err != nil {
		return err
	}
	identity, err := rpc.LoadIdentity(rpc.IdentityFiles{Cert: c.Cert, Key: c.Key, CA: c.CA})
	if err != nil {
		return err
	}
	if identity.Name() != "gateway" {
		return errors.New("token: the certificate must be the gateway's; services accept tokens from no one else")
	}
	token, err := principal.NewSigner(identity.Signer(), clock.System().Now).Token(who, c.Audience)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, token)
	return err
}

type keysetCommand struct {
	Rotate string `help:"File of the present keyset; a new primary key is added to it and the old keys still open."`
}

// Run prints a keyset. Keep it outside the database.
func (c keysetCommand) Run(s Streams) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, string(keys))
	return err
}

func (c keysetCommand) keys() ([]byte, error) {
	if c.Rotate == "" {
		return secretbox.GenerateKeyset()
	}
	present, err := os.ReadFile(c.Rotate)
	if err != nil {
		return nil, fmt.Errorf("rotate keyset: %w", err)
	}
	return secretbox.AddPrimary(present)
}

type referenceCommand struct{}

// Run prints the table of docs/operations.md.
func (referenceCommand) Run(s Streams) error {
	table, err := config.Reference(&Command{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(s.Out, table)
	return err
}
