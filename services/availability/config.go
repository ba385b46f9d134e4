package availability

import (
	"time"

	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/services/availability/internal/server"
)

// Config is the configuration of the availability service.
type Config struct {
	Listen        string        `name:"listen" env:"RELANCE_AVAILABILITY_LISTEN" default:"127.0.0.1:7003" help:"Address the gRPC server listens on."`
	DatabaseURL   string        `name:"database-url" env:"RELANCE_AVAILABILITY_DATABASE_URL" help:"PostgreSQL URL of the role relance_availability. Default: derived from RELANCE_DATABASE_URL."`
	MaxConns      int32         `name:"max-conns" env:"RELANCE_AVAILABILITY_MAX_CONNS" default:"10" help:"Largest number of database connections, 2 or more."`
	SyncTarget    string        `name:"sync-target" env:"RELANCE_AVAILABILITY_SYNC_TARGET" default:"127.0.0.1:7001" help:"gRPC target of the sync service."`
	Reflection    bool          `name:"reflection" env:"RELANCE_AVAILABILITY_REFLECTION" help:"Let grpcurl list the service's methods."`
	TTL           time.Duration `name:"ttl" env:"RELANCE_AVAILABILITY_TTL" default:"60s" help:"How long slots count as fresh, 5s to 1h."`
	CallTimeout   time.Duration `name:"call-timeout" env:"RELANCE_AVAILABILITY_CALL_TIMEOUT" default:"8s" help:"Longest wait for a calendar, 1s to 60s; keep it below the deadlines of those who ask for slots (10s), so that known slots can still be served."`
	Concurrency   int           `name:"concurrency" env:"RELANCE_AVAILABILITY_CONCURRENCY" default:"8" help:"Calendars read at once in a refresh run, 1 to 200."`
	Schedule      bool          `name:"schedule" env:"RELANCE_AVAILABILITY_SCHEDULE" default:"true" negatable:"" help:"Refresh by itself, without an external cron."`
	ScheduleEvery time.Duration `name:"schedule-every" env:"RELANCE_AVAILABILITY_SCHEDULE_EVERY" default:"60s" help:"Time between scheduled refreshes, 1s or more."`
	CacheSlots    int           `name:"cache-slots" env:"RELANCE_AVAILABILITY_CACHE_SLOTS" default:"1000000" help:"Free times kept in memory over all workspaces, 1000 or more; a million are about 500 MB at most."`
	DrainTimeout  time.Duration `name:"drain-timeout" env:"RELANCE_AVAILABILITY_DRAIN_TIMEOUT" default:"20s" help:"How long calls in flight may finish at shutdown."`
	KeysetJSON    config.Secret `name:"keyset" env:"RELANCE_AVAILABILITY_KEYSET" help:"Tink AEAD keyset as JSON, or @file, that encrypts the tokens and feed addresses of calendars at rest. Required."`
	CalendlyAPI   string        `name:"calendly-api-url" env:"RELANCE_AVAILABILITY_CALENDLY_API_URL" default:"https://api.calendly.com" help:"Calendly API host."`
	CalendlyPages string        `name:"calendly-pages-url" env:"RELANCE_AVAILABILITY_CALENDLY_PAGES_URL" default:"https://calendly.com" help:"Host of Calendly's booking pages, read for links without a token."`
	HubSpotAPI    string        `name:"hubspot-api-url" env:"RELANCE_AVAILABILITY_HUBSPOT_API_URL" default:"https://api.hubapi.com" help:"HubSpot API host."`
	HubSpotPages  string        `name:"hubspot-pages-url" env:"RELANCE_AVAILABILITY_HUBSPOT_PAGES_URL" help:"Host of HubSpot's booking pages, read for links without a token. Default: by the link's data centre."`
	GHLPages      string        `name:"ghl-pages-url" env:"RELANCE_AVAILABILITY_GHL_PAGES_URL" default:"https://backend.leadconnectorhq.com" help:"Host of GoHighLevel's public slots, read for workspaces without a connection."`
}

// withDefaults fills what a Config made in Go leaves out. The zero Schedule stays off.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.TTL, time.Minute},
		{&c.CallTimeout, 8 * time.Second},
		{&c.ScheduleEvery, time.Minute},
		{&c.DrainTimeout, 20 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *string
		value string
	}{
		{&c.CalendlyAPI, "https://api.calendly.com"},
		{&c.CalendlyPages, "https://calendly.com"},
		{&c.HubSpotAPI, "https://api.hubapi.com"},
		{&c.GHLPages, "https://backend.leadconnectorhq.com"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if c.Concurrency == 0 {
		c.Concurrency = 8
	}
	if c.CacheSlots == 0 {
		c.CacheSlots = server.DefaultCacheSlots
	}
	if c.MaxConns == 0 {
		c.MaxConns = 10
	}
	return c
}

// Problems lists what is wrong with the configuration; none when all is well.
func (c Config) Problems() []string {
	c = c.withDefaults()
	var problems []string
	check := func(ok bool, text string) {
		if !ok {
			problems = append(problems, "availability: "+text)
		}
	}
	check(c.DatabaseURL != "", "database URL is required")
	check(c.KeysetJSON.Set(), "keyset is required; make one with `relance keyset`")
	check(c.SyncTarget != "", "sync target is required")
	check(c.MaxConns >= 2, "max conns must be 2 or more")
	check(c.TTL >= 5*time.Second && c.TTL <= time.Hour, "TTL must be 5s to 1h")
	check(c.CallTimeout >= time.Second && c.CallTimeout <= time.Minute, "call timeout must be 1s to 60s")
	check(c.Concurrency >= 1 && c.Concurrency <= 200, "concurrency must be 1 to 200")
	check(c.CacheSlots >= 1000, "cache slots must be 1000 or more")
	check(c.ScheduleEvery >= time.Second, "schedule interval must be 1s or more")
	check(c.DrainTimeout > 0, "drain timeout must be positive")
	return problems
}
