package sync

import (
	"cmp"
	"time"

	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/services/sync/internal/poll"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
)

// DefaultGHLBaseURL is GoHighLevel's API host.
const DefaultGHLBaseURL = "https://services.leadconnectorhq.com"

// Hosts of the email senders' APIs.
const (
	DefaultSmartleadBaseURL = "https://server.smartlead.ai/api/v1"
	DefaultInstantlyBaseURL = "https://api.instantly.ai"
	// DefaultCalendlyBaseURL is Calendly's API host.
	DefaultCalendlyBaseURL = "https://api.calendly.com"
)

// Config is the configuration of the sync service.
type Config struct {
	Listen                string        `name:"listen" env:"RELANCE_SYNC_LISTEN" default:"127.0.0.1:7001" help:"Address the gRPC server listens on."`
	DatabaseURL           string        `name:"database-url" env:"RELANCE_SYNC_DATABASE_URL" help:"PostgreSQL URL of the role relance_sync. Default: derived from RELANCE_DATABASE_URL."`
	MaxConns              int32         `name:"max-conns" env:"RELANCE_SYNC_MAX_CONNS" default:"16" help:"Largest number of database connections of calls, and again of jobs; 4 or more."`
	GHLBaseURL            string        `name:"ghl-base-url" env:"RELANCE_SYNC_GHL_BASE_URL" default:"https://services.leadconnectorhq.com" help:"GoHighLevel API host."`
	GHLClientID           string        `name:"ghl-client-id" env:"RELANCE_SYNC_GHL_CLIENT_ID" help:"Client id of the marketplace app, for workspaces that connect by OAuth."`
	GHLClientSecret       config.Secret `name:"ghl-client-secret" env:"RELANCE_SYNC_GHL_CLIENT_SECRET" help:"Client secret of the marketplace app, or @file."`
	SmartleadBaseURL      string        `name:"smartlead-base-url" env:"RELANCE_SYNC_SMARTLEAD_BASE_URL" default:"https://server.smartlead.ai/api/v1" help:"Smartlead API host with its version."`
	InstantlyBaseURL      string        `name:"instantly-base-url" env:"RELANCE_SYNC_INSTANTLY_BASE_URL" default:"https://api.instantly.ai" help:"Instantly API host."`
	CalendlyBaseURL       string        `name:"calendly-base-url" env:"RELANCE_SYNC_CALENDLY_BASE_URL" default:"https://api.calendly.com" help:"Calendly API host, for bookings."`
	AllowLocalProviders   bool          `name:"allow-local-providers" env:"RELANCE_SYNC_ALLOW_LOCAL_PROVIDERS" help:"Call EmailBison instances on plain http and on private addresses. For tests and sandboxes only: whoever may set connections can then reach your network."`
	KeysetJSON            config.Secret `name:"keyset" env:"RELANCE_SYNC_KEYSET" help:"Tink AEAD keyset as JSON, or @file, that encrypts tokens, messages and webhooks at rest. Required."`
	FollowUpsTarget       string        `name:"followups-target" env:"RELANCE_SYNC_FOLLOWUPS_TARGET" default:"127.0.0.1:7002" help:"gRPC target of the followups service, which gets lead events. Empty keeps them waiting."`
	Reflection            bool          `name:"reflection" env:"RELANCE_SYNC_REFLECTION" help:"Let grpcurl list the service's methods."`
	MaxFailures           int           `name:"max-failures" env:"RELANCE_SYNC_MAX_FAILURES" default:"5" help:"Provably unsent attempts after which a message is parked, 1 to 20."`
	BreakerFailures       int           `name:"breaker-failures" env:"RELANCE_SYNC_BREAKER_FAILURES" default:"10" help:"Failed calls, less the answers between them, after which a workspace's sends to a provider are held back for a while; 1 to 1000000."`
	DrainTimeout          time.Duration `name:"drain-timeout" env:"RELANCE_SYNC_DRAIN_TIMEOUT" default:"25s" help:"How long calls in flight may finish at shutdown; at least the send call's timeout."`
	AllowVolatileDatabase bool          `name:"allow-volatile-database" env:"RELANCE_SYNC_ALLOW_VOLATILE_DATABASE" help:"Start on a PostgreSQL that can lose acknowledged commits. A message can then be sent twice: for tests only."`
	PollInterval          time.Duration `name:"poll-interval" env:"RELANCE_SYNC_POLL_INTERVAL" default:"5m" help:"How often a location is compared with what webhooks brought, 1s to 24h."`
	PollGrace             time.Duration `name:"poll-grace" env:"RELANCE_SYNC_POLL_GRACE" default:"1m" help:"How long a webhook may take before its message is looked for, at most 1h."`
	PollTick              time.Duration `name:"poll-tick" env:"RELANCE_SYNC_POLL_TICK" default:"10s" help:"How often due comparisons are started."`
	PollDisabled          bool          `name:"poll-disabled" env:"RELANCE_SYNC_POLL_DISABLED" help:"Never compare: what webhooks lose then stays lost."`
	WatchStall            time.Duration `name:"watch-stall" env:"RELANCE_SYNC_WATCH_STALL" default:"1m" help:"How long a watcher of conversations may take nothing before its stream is ended, at least 1s."`
	HistoryMonths         int           `name:"history-months" env:"RELANCE_SYNC_HISTORY_MONTHS" default:"13" help:"Months of send attempts, looks and delivered events that are kept, 2 or more; 0 keeps all."`
	WebhookRetention      time.Duration `name:"webhook-retention" env:"RELANCE_SYNC_WEBHOOK_RETENTION" default:"2160h" help:"How long bodies of processed webhooks are kept, 24h or more; 0 keeps all. Their keys stay, so that a late delivery is known."`
	WebhookAsideRetention time.Duration `name:"webhook-aside-retention" env:"RELANCE_SYNC_WEBHOOK_ASIDE_RETENTION" default:"720h" help:"How long bodies of webhooks are kept that nobody acted on (ignored, or of no workspace), 24h or more; 0 keeps all. They can be replayed until then."`
	SendWrite             time.Duration `name:"send-write" env:"RELANCE_SYNC_SEND_WRITE" default:"5s" help:"W: longest time from a send's claim to its call."`
	SendPause             time.Duration `name:"send-pause" env:"RELANCE_SYNC_SEND_PAUSE" default:"60s" help:"P: longest sleep of a process between check and write that is assumed."`
	SendCall              time.Duration `name:"send-call" env:"RELANCE_SYNC_SEND_CALL" default:"15s" help:"R: longest provider call, at most 30s."`
	SendDelay             time.Duration `name:"send-delay" env:"RELANCE_SYNC_SEND_DELAY" default:"2m" help:"D: how late the provider may process an abandoned call."`
	SendVisible           time.Duration `name:"send-visible" env:"RELANCE_SYNC_SEND_VISIBLE" default:"10m" help:"V: how late an accepted message may show in the provider's lists."`
	SendSettle            time.Duration `name:"send-settle" env:"RELANCE_SYNC_SEND_SETTLE" default:"15m" help:"S: when an unknown outcome may be settled by absence; at least W+P+R+D+V and 2 %."`
}

// withDefaults fills what a Config made in Go leaves out.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.DrainTimeout, 25 * time.Second},
		{&c.PollInterval, 5 * time.Minute},
		{&c.PollGrace, time.Minute},
		{&c.PollTick, 10 * time.Second},
		{&c.WatchStall, time.Minute},
		{&c.SendWrite, 5 * time.Second},
		{&c.SendPause, time.Minute},
		{&c.SendCall, 15 * time.Second},
		{&c.SendDelay, 2 * time.Minute},
		{&c.SendVisible, 10 * time.Minute},
		{&c.SendSettle, 15 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxConns == 0 {
		c.MaxConns = 16
	}
	if c.BreakerFailures == 0 {
		c.BreakerFailures = sender.DefaultBreakerLimit
	}
	if c.MaxFailures == 0 {
		c.MaxFailures = 5
	}
	c.GHLBaseURL = cmp.Or(c.GHLBaseURL, DefaultGHLBaseURL)
	c.SmartleadBaseURL = cmp.Or(c.SmartleadBaseURL, DefaultSmartleadBaseURL)
	c.InstantlyBaseURL = cmp.Or(c.InstantlyBaseURL, DefaultInstantlyBaseURL)
	c.CalendlyBaseURL = cmp.Or(c.CalendlyBaseURL, DefaultCalendlyBaseURL)
	return c
}

// Problems lists what is wrong with the configuration; none when all is well.
func (c Config) Problems() []string {
	c = c.withDefaults()
	var problems []string
	check := func(ok bool, text string) {
		if !ok {
			problems = append(problems, "sync: "+text)
		}
	}
	check(c.DatabaseURL != "", "database URL is required")
	check(c.KeysetJSON.Set(), "keyset is required; make one with `relance keyset new`")
	check((c.GHLClientID == "") == !c.GHLClientSecret.Set(), "GHL client id and client secret are set together or not at all")
	check(c.MaxConns >= 4, "max conns must be 4 or more")
	check(c.BreakerFailures >= 1 && c.BreakerFailures <= 1_000_000, "breaker failures must be 1 to 1000000")
	check(c.MaxFailures >= 1 && c.MaxFailures <= 20, "max failures must be 1 to 20")
	check(c.HistoryMonths == 0 || c.HistoryMonths >= 2, "history months must be 0 or at least 2")
	check(c.WebhookRetention == 0 || c.WebhookRetention >= 24*time.Hour, "webhook retention must be 0 or at least 24h")
	check(c.WebhookAsideRetention == 0 || c.WebhookAsideRetention >= 24*time.Hour, "webhook aside retention must be 0 or at least 24h")
	check(c.SendCall <= 30*time.Second, "send call timeout must be at most 30s")
	check(c.DrainTimeout >= c.SendCall, "drain timeout must be at least the send call timeout")
	check(c.PollInterval >= time.Second && c.PollInterval <= 24*time.Hour, "poll interval must be 1s to 24h")
	check(c.PollGrace > 0 && c.PollGrace <= time.Hour, "poll grace must be more than 0 and at most 1h")
	check(c.PollTick >= 10*time.Millisecond, "poll tick must be 10ms or more")
	check(c.WatchStall >= time.Second, "watch stall must be 1s or more")
	if err := c.timing().Check(); err != nil {
		check(false, err.Error())
	}
	return problems
}

func (c Config) timing() sending.Timing {
	return sending.Timing{
		Write: c.SendWrite, Pause: c.SendPause, Call: c.SendCall, Delay: c.SendDelay, Visible: c.SendVisible, Settle: c.SendSettle,
	}
}

// poll gives the settings of polling, zero when it is switched off.
func (c Config) poll() poll.Settings {
	if c.PollDisabled {
		return poll.Settings{}
	}
	set := poll.DefaultSettings()
	set.Every, set.Grace = c.PollInterval, c.PollGrace
	return set
}
