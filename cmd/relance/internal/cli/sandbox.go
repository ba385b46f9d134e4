package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/relance/relance/cmd/relance/internal/demo"
	"github.com/relance/relance/cmd/relance/internal/stack"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/availability"
	"github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
	"github.com/relance/relance/simulator/calendars"
)

type sandboxCommand struct {
	logging
	Listen      string        `default:"127.0.0.1:8080" env:"RELANCE_GATEWAY_LISTEN" help:"Address of the gateway."`
	Dir         string        `help:"Directory for certificates and sandbox.json. Default: a fresh temporary one, removed at the end."`
	DatabaseURL string        `env:"RELANCE_DATABASE_URL" help:"Running PostgreSQL to use, as the owner of its objects. Default: a private cluster."`
	Scheduler   time.Duration `default:"0s" help:"Run what is due this often without a cron call; 0 leaves it to the cron routes."`
}

// facts are what a user of the sandbox needs; they are written to sandbox.json too.
type facts struct {
	Gateway     string            `json:"gateway"`
	Simulator   string            `json:"simulator"`
	Services    map[string]string `json:"services"`
	CronSecret  string            `json:"cronSecret"`
	AdminSecret string            `json:"adminSecret"`
	// MailKeys are the API keys of the simulated email senders.
	MailKeys     map[string]string `json:"mailKeys"`
	Certificates string            `json:"certificates"`
	Workspace    string            `json:"workspace"`
	DNDLead      string            `json:"dndLead"`
	Lead         string            `json:"lead"`
	// Calendars are workspaces by the kind of their calendar.
	Calendars map[string]string `json:"calendars"`
}

// Run serves until the context ends.
func (c sandboxCommand) Run(ctx context.Context, s Streams) (err error) {
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "relance-sandbox-"); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.Dir)) }()
	}
	now := clock.System()
	sim := simulator.New(simulator.Config{Now: now.Now})
	defer func() { _ = sim.Close() }()
	provider, err := sim.Start(ctx)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	outside := calendars.New(now.Now)
	defer outside.Close()
	outside.Set(func(p *calendars.Plan) {
		p.Free = demo.WorkingTimes(now.Now())
		p.Feed = calendars.FeedBusyExcept(p.Free, 30*time.Minute, now.Now().AddDate(0, 0, -1), now.Now().AddDate(0, 0, 32))
	})
	pages, err := outside.Start(ctx)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	keys, err := mailSenders(sim)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	known := facts{Simulator: provider, MailKeys: keys, CronSecret: stack.NewSecret(), AdminSecret: stack.NewSecret(), Certificates: c.Dir}
	st, err := stack.New(ctx, stack.Options{
		Clock: now, Logger: c.logger(s.Err), AdminDSN: c.DatabaseURL, Listen: c.Listen, GHLBaseURL: provider, Settings: stack.Settings{
			Availability: availability.Config{
				CalendlyAPI: pages, CalendlyPages: pages, HubSpotAPI: pages, HubSpotPages: pages, GHLPages: pages,
			},
			Sync: sync.Config{SmartleadBaseURL: provider + "/api/v1", InstantlyBaseURL: provider, AllowLocalProviders: true},
		},
		GHLPublicKeys: []string{sim.PublicKeyPEM()}, CronSecrets: []string{known.CronSecret},
		AdminSecrets: []string{known.AdminSecret}, Feeds: &stack.Feeds{Dial: outside.Dial, Roots: outside.Roots()}, CertDir: c.Dir, Reflection: true, SchedulerInterval: c.Scheduler,
	})
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	known.Gateway, known.Services = st.GatewayURL, st.Targets
	serving, halt := context.WithCancel(ctx)
	defer halt()
	served := make(chan error, 1)
	go func() { served <- st.Run(serving) }()
	if err := c.open(ctx, s, st, sim, known); err != nil {
		halt()
		return errors.Join(err, <-served)
	}
	return <-served
}

// mailSenders opens an account at each simulated email sender, and gives their keys.
func mailSenders(sim *simulator.Simulator) (map[string]string, error) {
	keys := map[string]string{}
	for _, sender := range []simulator.MailSender{simulator.EmailBison, simulator.Smartlead, simulator.Instantly} {
		key := "sandbox-" + string(sender) + "-key"
		if err := sim.AddMailAccount(simulator.MailAccount{Sender: sender, Key: key}); err != nil {
			return nil, err
		}
		keys[string(sender)] = key
	}
	return keys, nil
}

// open puts one workspace with two leads into the sandbox and tells how to reach it.
func (c sandboxCommand) open(ctx context.Context, s Streams, st *stack.Stack, sim *simulator.Simulator, known facts) error {
	if err := st.Await(ctx); err != nil {
		return err
	}
	seed, err := demo.Seed(ctx, sim, demo.Access{Gateway: known.Gateway, AdminSecret: known.AdminSecret})
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	known.Workspace, known.Lead, known.DNDLead = seed.Workspace, seed.Lead, seed.DNDLead
	if known.Calendars, err = demo.SeedCalendars(ctx, demo.Access{Gateway: known.Gateway, AdminSecret: known.AdminSecret}); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	raw, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	path := filepath.Join(c.Dir, "sandbox.json")
	// Written whole and then named, so that a script that waits for it never reads half of it.
	if err := os.WriteFile(path+".part", raw, 0o600); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return printFacts(s, known, path)
}

func printFacts(s Streams, known facts, path string) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "Relance sandbox, everything on loopback. Stop with Ctrl-C.\n\n")
	for _, row := range [][2]string{
		{"gateway", known.Gateway},
		{"simulator", known.Simulator + "/_sim/ledger"},
		{"sync", known.Services["sync"]},
		{"followups", known.Services["followups"]},
		{"availability", known.Services["availability"]},
		{"cron secret", known.CronSecret},
		{"admin secret", known.AdminSecret},
		{"email senders' keys", strings.Join(slices.Sorted(maps.Values(known.MailKeys)), ", ")},
		{"certificates", known.Certificates},
		{"workspace", known.Workspace},
		{"lead", known.Lead},
		{"lead on SMS DND", known.DNDLead},
		{"Calendly workspace", known.Calendars["calendly"]},
		{"Calendly with token", known.Calendars["calendlyToken"]},
		{"HubSpot workspace", known.Calendars["hubspot"]},
		{"GHL page workspace", known.Calendars["ghlPage"]},
		{"iCalendar workspace", known.Calendars["iCalendar"]},
		{"all of this", path},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	_, _ = fmt.Fprintln(w, "\nRecipes for curl and grpcurl are in README.md.")
	return w.Flush()
}
