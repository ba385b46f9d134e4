package followups

import (
	"time"

	"github.com/relance/relance/services/followups/internal/run"
)

// Config is the configuration of the followups service.
type Config struct {
	Listen             string        `name:"listen" env:"RELANCE_FOLLOWUPS_LISTEN" default:"127.0.0.1:7002" help:"Address the gRPC server listens on."`
	DatabaseURL        string        `name:"database-url" env:"RELANCE_FOLLOWUPS_DATABASE_URL" help:"PostgreSQL URL of the role relance_followups. Default: derived from RELANCE_DATABASE_URL."`
	MaxConns           int32         `name:"max-conns" env:"RELANCE_FOLLOWUPS_MAX_CONNS" default:"10" help:"Largest number of database connections, 2 or more."`
	SyncTarget         string        `name:"sync-target" env:"RELANCE_FOLLOWUPS_SYNC_TARGET" default:"127.0.0.1:7001" help:"gRPC target of the sync service."`
	AvailabilityTarget string        `name:"availability-target" env:"RELANCE_FOLLOWUPS_AVAILABILITY_TARGET" default:"127.0.0.1:7003" help:"gRPC target of the availability service."`
	Reflection         bool          `name:"reflection" env:"RELANCE_FOLLOWUPS_REFLECTION" help:"Let grpcurl list the service's methods."`
	SchedulerInterval  time.Duration `name:"scheduler-interval" env:"RELANCE_FOLLOWUPS_SCHEDULER_INTERVAL" default:"60s" help:"Time between runs of the built-in scheduler, 1s or more; 0 turns it off."`
	BatchSize          int           `name:"batch-size" env:"RELANCE_FOLLOWUPS_BATCH_SIZE" default:"200" help:"Most enrollments claimed at once, 1 to 500."`
	LeaseDuration      time.Duration `name:"lease-duration" env:"RELANCE_FOLLOWUPS_LEASE_DURATION" default:"2m" help:"How long a batch stays claimed by the database's clock, 1s to 1h."`
	MaxAttempts        int           `name:"max-attempts" env:"RELANCE_FOLLOWUPS_MAX_ATTEMPTS" default:"5" help:"Failed tries of a step after which its enrollment is parked, 1 to 20."`
	DecisionRetention  time.Duration `name:"decision-retention" env:"RELANCE_FOLLOWUPS_DECISION_RETENTION" default:"4320h" help:"How long decision records are kept after they were last confirmed, 24h or more."`
	DrainTimeout       time.Duration `name:"drain-timeout" env:"RELANCE_FOLLOWUPS_DRAIN_TIMEOUT" default:"20s" help:"How long calls in flight may finish at shutdown."`
}

// withDefaults fills what a Config made in Go leaves out. The zero SchedulerInterval stays off.
func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = 10
	}
	if c.BatchSize == 0 {
		c.BatchSize = run.DefaultBatchSize
	}
	if c.LeaseDuration == 0 {
		c.LeaseDuration = run.DefaultLease
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = run.DefaultMaxAttempts
	}
	if c.DecisionRetention == 0 {
		c.DecisionRetention = 180 * 24 * time.Hour
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 20 * time.Second
	}
	return c
}

// Problems lists what is wrong with the configuration; none when all is well.
func (c Config) Problems() []string {
	c = c.withDefaults()
	var problems []string
	check := func(ok bool, text string) {
		if !ok {
			problems = append(problems, "followups: "+text)
		}
	}
	check(c.DatabaseURL != "", "database URL is required")
	check(c.SyncTarget != "", "sync target is required")
	check(c.AvailabilityTarget != "", "availability target is required")
	check(c.MaxConns >= 2, "max conns must be 2 or more")
	check(c.SchedulerInterval == 0 || c.SchedulerInterval >= time.Second, "scheduler interval must be 0 or 1s or more")
	check(c.BatchSize >= 1 && c.BatchSize <= 500, "batch size must be 1 to 500")
	check(c.LeaseDuration >= time.Second && c.LeaseDuration <= time.Hour, "lease duration must be 1s to 1h")
	check(c.MaxAttempts >= 1 && c.MaxAttempts <= 20, "max attempts must be 1 to 20")
	check(c.DecisionRetention >= 24*time.Hour, "decision retention must be 24h or more")
	check(c.DrainTimeout > 0, "drain timeout must be positive")
	return problems
}
