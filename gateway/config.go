package gateway

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/relance/relance/gateway/internal/edge"
	"github.com/relance/relance/platform/config"
)

// Config is the gateway's configuration. Every field has a flag, a RELANCE_* variable and a default that works on one
// machine, but for the secrets: a route whose secret is not set is closed.
type Config struct {
	Listen             string          `name:"listen" env:"RELANCE_GATEWAY_LISTEN" default:"127.0.0.1:8080" help:"Address the HTTP edge listens on."`
	SyncTarget         string          `name:"sync-target" env:"RELANCE_GATEWAY_SYNC_TARGET" default:"127.0.0.1:7001" help:"gRPC target of the sync service."`
	FollowUpsTarget    string          `name:"followups-target" env:"RELANCE_GATEWAY_FOLLOWUPS_TARGET" default:"127.0.0.1:7002" help:"gRPC target of the followups service."`
	AvailabilityTarget string          `name:"availability-target" env:"RELANCE_GATEWAY_AVAILABILITY_TARGET" default:"127.0.0.1:7003" help:"gRPC target of the availability service."`
	CronSecrets        []config.Secret `name:"cron-secret" env:"RELANCE_CRON_SECRET" help:"Secret of /api/cron, at least 16 characters, or @file; two, comma separated, while it is rotated. None closes the routes (503)."`
	AdminSecrets       []config.Secret `name:"admin-secret" env:"RELANCE_ADMIN_SECRET" help:"Secret of /v1 and /api/admin, at least 16 characters, or @file; two, comma separated, while it is rotated. None closes the routes (503)."`
	GHLPublicKeys      []string        `name:"ghl-public-key" env:"RELANCE_GHL_PUBLIC_KEYS" help:"Ed25519 public keys that sign marketplace webhooks, as @file or PEM text. Default: the key HighLevel publishes."`
	CronTimeBudget     time.Duration   `name:"cron-time-budget" env:"RELANCE_GATEWAY_CRON_TIME_BUDGET" default:"25s" help:"Work of one cron call, 1s to 55s; what is left is done by the next."`
	CallTimeout        time.Duration   `name:"call-timeout" env:"RELANCE_GATEWAY_CALL_TIMEOUT" default:"30s" help:"Longest wait for a service in a /v1 or admin request, 1s to 60s."`
	WebhookTimeout     time.Duration   `name:"webhook-timeout" env:"RELANCE_GATEWAY_WEBHOOK_TIMEOUT" default:"4s" help:"Longest wait for sync in a webhook request, 100ms to 4s: its sender is told to deliver again before it gives up on the answer, which many do after ten seconds."`
	DrainTimeout       time.Duration   `name:"drain-timeout" env:"RELANCE_GATEWAY_DRAIN_TIMEOUT" default:"25s" help:"How long requests in flight may finish at shutdown."`
}

// withDefaults fills the durations that a Config made in Go leaves out.
func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.CronTimeBudget == 0 {
		c.CronTimeBudget = 25 * time.Second
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 30 * time.Second
	}
	if c.WebhookTimeout == 0 {
		c.WebhookTimeout = 4 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 25 * time.Second
	}
	return c
}

// loaded are the parsed and read parts of a Config.
type loaded struct {
	cron, admin edge.Secrets
	keys        []ed25519.PublicKey
}

// Problems lists everything that is wrong with the configuration, one line each.
func (c Config) Problems() []string {
	_, problems := c.load()
	return problems
}

func (c Config) load() (loaded, []string) {
	c = c.withDefaults()
	var out loaded
	var problems []string
	check := func(ok bool, text string) {
		if !ok {
			problems = append(problems, text)
		}
	}
	note := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", what, err))
		}
	}
	check(c.SyncTarget != "", "gateway: the sync target is required")
	check(c.FollowUpsTarget != "", "gateway: the followups target is required")
	check(c.AvailabilityTarget != "", "gateway: the availability target is required")
	check(c.CronTimeBudget >= time.Second && c.CronTimeBudget <= 55*time.Second, "gateway: the cron time budget must be 1s to 55s")
	check(c.CallTimeout >= time.Second && c.CallTimeout <= time.Minute, "gateway: the call timeout must be 1s to 60s")
	check(c.WebhookTimeout >= 100*time.Millisecond && c.WebhookTimeout <= 4*time.Second, "gateway: the webhook timeout must be 100ms to 4s")
	check(c.DrainTimeout > 0, "gateway: the drain timeout must be positive")
	var err error
	out.cron, err = edge.NewSecrets(reveal(c.CronSecrets)...)
	note("gateway: cron secret", err)
	out.admin, err = edge.NewSecrets(reveal(c.AdminSecrets)...)
	note("gateway: admin secret", err)
	texts, err := read(c.GHLPublicKeys)
	if err == nil {
		out.keys, err = edge.ParsePublicKeys(texts...)
	}
	note("gateway: GHL public key", err)
	return out, problems
}

func reveal(secrets []config.Secret) []string {
	var out []string
	for _, s := range secrets {
		out = append(out, s.Reveal())
	}
	return out
}

// read resolves "@path" values.
func read(values []string) ([]string, error) {
	var out []string
	for _, value := range values {
		path, ok := strings.CutPrefix(value, "@")
		if !ok {
			out = append(out, value)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read key file: %w", err)
		}
		out = append(out, string(text))
	}
	return out, nil
}
