package gateway

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/relance/relance/gateway/internal/edge"
)

// Config is the gateway's configuration. Secrets and keys may be given as "file:<path>", which is read at the start.
type Config struct {
	Listen             string        `name:"listen" env:"RELANCE_GATEWAY_LISTEN" default:"127.0.0.1:8080" help:"Address the HTTP edge listens on."`
	SyncTarget         string        `name:"sync-target" env:"RELANCE_GATEWAY_SYNC_TARGET" default:"127.0.0.1:7001" help:"gRPC target of the sync service."`
	FollowUpsTarget    string        `name:"followups-target" env:"RELANCE_GATEWAY_FOLLOWUPS_TARGET" default:"127.0.0.1:7002" help:"gRPC target of the followups service."`
	AvailabilityTarget string        `name:"availability-target" env:"RELANCE_GATEWAY_AVAILABILITY_TARGET" default:"127.0.0.1:7003" help:"gRPC target of the availability service."`
	CronSecrets        []string      `name:"cron-secret" env:"RELANCE_CRON_SECRET" help:"Secret of /api/cron, at least 16 characters, as text or file:<path>; two for a rotation. None closes the routes (503)."`
	AdminSecrets       []string      `name:"admin-secret" env:"RELANCE_ADMIN_SECRET" help:"Secret of /v1 and /api/admin, at least 16 characters, as text or file:<path>; two for a rotation. None closes the routes (503)."`
	GHLPublicKeys      []string      `name:"ghl-public-key" env:"RELANCE_GHL_PUBLIC_KEYS" help:"Ed25519 public keys that sign marketplace webhooks, as PEM text or file:<path>. Default: the key HighLevel publishes."`
	CronTimeBudget     time.Duration `name:"cron-time-budget" env:"RELANCE_GATEWAY_CRON_TIME_BUDGET" default:"25s" help:"Work of one cron call, 1s to 55s; what is left is done by the next."`
	CallTimeout        time.Duration `name:"call-timeout" env:"RELANCE_GATEWAY_CALL_TIMEOUT" default:"30s" help:"Longest wait for a service in a /v1, admin or webhook request, 1s to 60s."`
	DrainTimeout       time.Duration `name:"drain-timeout" env:"RELANCE_GATEWAY_DRAIN_TIMEOUT" default:"25s" help:"How long requests in flight may finish at shutdown."`
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
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 25 * time.Second
	}
	return c
}

// secrets are the parsed and read parts of a Config.
type secrets struct {
	cron, admin edge.Secrets
	keys        []ed25519.PublicKey
}

// load checks the configuration and reads its files; every problem is told at once.
func (c Config) load() (secrets, error) {
	var out secrets
	var problems []error
	check := func(ok bool, text string) {
		if !ok {
			problems = append(problems, errors.New(text))
		}
	}
	note := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	check(c.SyncTarget != "", "sync target is required")
	check(c.FollowUpsTarget != "", "followups target is required")
	check(c.AvailabilityTarget != "", "availability target is required")
	check(c.CronTimeBudget >= time.Second && c.CronTimeBudget <= 55*time.Second, "cron time budget must be 1s to 55s")
	check(c.CallTimeout >= time.Second && c.CallTimeout <= time.Minute, "call timeout must be 1s to 60s")
	check(c.DrainTimeout > 0, "drain timeout must be positive")
	cron, err := read(c.CronSecrets)
	note("cron secret", err)
	out.cron, err = edge.NewSecrets(cron...)
	note("cron secret", err)
	admin, err := read(c.AdminSecrets)
	note("admin secret", err)
	out.admin, err = edge.NewSecrets(admin...)
	note("admin secret", err)
	keys, err := read(c.GHLPublicKeys)
	note("GHL public key", err)
	out.keys, err = edge.ParsePublicKeys(keys...)
	note("GHL public key", err)
	return out, errors.Join(problems...)
}

// read resolves "file:<path>" values. Errors name the file, never the content.
func read(values []string) ([]string, error) {
	var out []string
	for _, value := range values {
		path, ok := strings.CutPrefix(value, "file:")
		if !ok {
			out = append(out, value)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		out = append(out, string(text))
	}
	return out, nil
}
