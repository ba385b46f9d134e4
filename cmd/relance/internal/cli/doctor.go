package cli

import (
	"context"
	"strings"

	"github.com/relance/relance/cmd/relance/internal/doctor"
	"github.com/relance/relance/cmd/relance/internal/stack"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/rpc"
)

type doctorCommand struct {
	DatabaseURL string        `env:"RELANCE_DATABASE_URL" help:"Database to check, as the owner of its objects."`
	Gateway     string        `env:"RELANCE_GATEWAY_URL" help:"Base URL of the gateway to check, such as http://127.0.0.1:8080."`
	AdminSecret config.Secret `env:"RELANCE_ADMIN_SECRET" help:"Admin secret, as text or @file; opens the check of every workspace."`
	Cert        []string      `type:"existingfile" help:"PEM file of a role's certificate; the key is taken from the same name with .key."`
	CA          string        `env:"RELANCE_TLS_CA" help:"PEM file of the authorities."`
}

// Run examines and prints; the exit code is 1 when something needs a remedy.
func (c doctorCommand) Run(ctx context.Context, s Streams) error {
	var certificates []rpc.IdentityFiles
	for _, cert := range c.Cert {
		certificates = append(certificates, rpc.IdentityFiles{Cert: cert, Key: strings.TrimSuffix(cert, ".pem") + ".key", CA: c.CA})
	}
	return doctor.Print(s.Out, doctor.Examine(ctx, doctor.Options{
		DatabaseURL: c.DatabaseURL, Gateway: strings.TrimSuffix(c.Gateway, "/"), AdminSecret: c.AdminSecret.Reveal(),
		Certificates: certificates, Services: stack.Services(), Now: clock.System().Now,
	}))
}
