// Package cli is the command line of relance.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/relance/relance/cmd/relance/internal/demo"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/telemetry"
)

// Streams are where commands print.
type Streams struct {
	// Out gets results, Err gets logs and problems.
	Out, Err io.Writer
}

// Command is the whole command line.
type Command struct {
	// Serve runs roles.
	Serve serveCommand `cmd:"" help:"Run one role, or all of them in one process."`
	// Migrate brings the database up to date.
	Migrate migrateCommand `cmd:"" help:"Bring the schemas of all services up to date; safe to repeat."`
	// Demo plays the main job.
	Demo demoCommand `cmd:"" help:"Play the main job end to end on embedded defaults and check every send."`
	// Sandbox serves all with the simulator.
	Sandbox sandboxCommand `cmd:"" help:"Serve everything on loopback with a simulated GoHighLevel, until stopped."`
	// Token mints a principal token.
	Token tokenCommand `cmd:"" help:"Print a short-lived principal token for grpcurl."`
	// Keyset makes an encryption keyset.
	Keyset keysetCommand `cmd:"" help:"Print a new encryption keyset, or one with a new primary key added."`
	// Doctor checks an installation.
	Doctor doctorCommand `cmd:"" help:"Check configuration, database, certificates and every workspace; say the remedy."`
	// Explain tells about a lead's enrollments.
	Explain explainCommand `cmd:"" help:"Tell what happened to a lead's follow-ups, why, and what comes next."`
	// Simulate foretells a sequence.
	Simulate simulateCommand `cmd:"" help:"Foretell what a sequence would do to leads, without sending anything."`
	// Audit compares with the provider.
	Audit auditCommand `cmd:"" help:"Compare what the provider holds with the database, independently of the services."`
	// Sequence moves sequences between files and workspaces.
	Sequence sequenceCommand `cmd:"" help:"Import, export and compare sequences as YAML; docs/sequences.md is the reference."`
	// Status shows ingestion.
	Status statusCommand `cmd:"" help:"Show per workspace: last webhook, last poll, what only the poller found, loss rate, parked webhooks."`
	// Backfill compares a whole workspace.
	Backfill backfillCommand `cmd:"" help:"Compare the whole history of a workspace with the provider, with progress; safe to stop and to go on."`
	// History shows certificates.
	History historyCommand `cmd:"" help:"Show which conversations are known to be complete, and what the others lack."`
	// Docs prints references.
	ConfigReference referenceCommand `cmd:"" name:"config-reference" help:"Print the configuration reference as Markdown."`
}

// Run parses and runs one command.
func (s Streams) Run(ctx context.Context, args []string) error {
	var command Command
	exited := false
	parser, err := kong.New(&command, append(config.Options("Follows up on leads through GoHighLevel, exactly once."),
		kong.Writers(s.Out, s.Err), kong.Exit(func(int) { exited = true }), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))...)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil
	}
	if err != nil {
		return err
	}
	err = parsed.Run()
	if err != nil && ctx.Err() != nil && !endless(parsed.Command()) {
		return errStopped
	}
	return err
}

// errStopped makes Ctrl-C exit with 1, for a script that goes on with what the command answered: half an answer is none.
var errStopped = errors.New("interrupted before the end; what was done and printed until then stands")

// endless reports whether a command runs until it is stopped, so that being stopped is how it ends well.
func endless(command string) bool {
	name, _, _ := strings.Cut(command, " ")
	return name == "serve" || name == "sandbox" || name == "demo"
}

// logging are the flags of every command that logs.
type logging struct {
	LogLevel string `default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn, error."`
}

func (l logging) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	// The enum above admits only names that parse.
	_ = level.UnmarshalText([]byte(l.LogLevel))
	return telemetry.NewLogger(w, level)
}

type demoCommand struct {
	DatabaseURL string `env:"RELANCE_DATABASE_URL" help:"Running PostgreSQL to use, as the owner of its objects. Default: a private cluster."`
	Verbose     bool   `help:"Print the services' logs too."`
}

// Run plays the demo.
func (c demoCommand) Run(ctx context.Context, s Streams) error {
	err := demo.Run(ctx, demo.Options{Out: s.Out, LogOut: s.Err, AdminDSN: c.DatabaseURL, Verbose: c.Verbose})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
