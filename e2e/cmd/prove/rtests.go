package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/intake"
	"github.com/relance/relance/e2e/internal/oracle"
	"github.com/relance/relance/e2e/internal/storm"
	"github.com/relance/relance/e2e/internal/tokens"
	"github.com/relance/relance/simulator"
)

func runTeeth(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("teeth", flag.ContinueOnError)
	only := flags.String("only", "", "one planted bug (services/sync/internal/planted); empty for all, and the control")
	if err := flags.Parse(args); err != nil {
		return err
	}
	binary, clean, err := build(ctx, "planted", "crashpoints")
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	if err := storm.RunTeeth(ctx, binary, *only, sheet); err != nil {
		return err
	}
	return sheet.Err()
}

// runOutcomes runs the proofs that have a number and are no storm.
func runOutcomes(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("rtests", flag.ContinueOnError)
	only := flags.String("only", "", "one of them (R3, R4, R7 ...); empty for all")
	sends := flags.Int("sends", 2000, "sends of R3 and R4")
	events := flags.Int("events", 5000, "webhooks of R10 and R11")
	contacts := flags.Int("contacts", 1000, "contacts of R18, asked 30 times each")
	expiries := flags.Int("expiries", 40, "times that the access token ends in R40; a replica dies in each tenth")
	dropped := flags.Int("lost", 1000, "webhooks of R12 that never arrive")
	interval := flags.Duration("interval", 30*time.Second, "interval of the poller in R12")
	outage := flags.Duration("outage", 15*time.Second, "scaled outage of R11; the provider retries for twice as long")
	seed := flags.Uint64("seed", 1, "seed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	binary, clean, err := build(ctx)
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	hooks := intake.Config{Binary: binary, Events: *events, Seed: *seed, Outage: *outage}
	for _, r := range []struct {
		id  string
		run func() error
	}{
		{"R3", func() error { return lost(ctx, storm.Settling{Binary: binary, Sends: *sends}, sheet) }},
		{"R4", func() error { return nothing(ctx, storm.Settling{Binary: binary, Sends: *sends}, sheet) }},
		{"R7", func() error { return unanswered(ctx, storm.Config{Binary: binary, Sends: *sends, Seed: *seed}, sheet) }},
		{"R10", func() error { return intake.RunDisorder(ctx, hooks, sheet) }},
		{"R11", func() error { return intake.RunOutage(ctx, hooks, sheet) }},
		{"R12", func() error {
			return intake.RunLost(ctx, intake.Lost{Binary: binary, Webhooks: *dropped, Interval: *interval, Grace: *interval / 15, Slack: *interval / 2}, sheet)
		}},
		{"R40", func() error {
			return tokens.RunRefresh(ctx, tokens.Refresh{Binary: binary, Expiries: *expiries, Workers: 8, KillEach: 10}, sheet)
		}},
		{"R18", func() error {
			return storm.RunDnd(ctx, storm.Dnd{Binary: binary, Contacts: *contacts, Ticks: 30}, sheet)
		}},
	} {
		if *only != "" && *only != r.id {
			continue
		}
		sheet.Note(r.id)
		if err := r.run(); err != nil {
			return fmt.Errorf("%s: %w", r.id, err)
		}
	}
	return sheet.Err()
}

// lost is R3: every answer is lost. Every message is found at the provider, and none is sent again.
func lost(ctx context.Context, cfg storm.Settling, sheet *figure.Sheet) error {
	cfg.Fault = simulator.AcceptThenReset
	out, err := storm.Settle(ctx, cfg)
	if err != nil {
		return err
	}
	out.Oracle.Print(sheet, out.Result)
	sheet.Must("every_answer_lost_found", out.Accepted, cfg.Sends, "sends")
	sheet.Zero("every_answer_lost_resent", out.Posts-cfg.Sends, "sends", cfg.Sends)
	return nil
}

// unanswered is R7: COMMITs happen without an answer, and PostgreSQL is killed meanwhile. No POST leaves on a claim that is
// not known to be committed.
func unanswered(ctx context.Context, cfg storm.Config, sheet *figure.Sheet) error {
	cfg.Replicas, cfg.PerPerson, cfg.Patience = 3, 1, 3*time.Minute
	cfg.Kills, cfg.DatabaseKills, cfg.LostCommits = cfg.Sends/40, max(cfg.Sends/400, 2), 0.05
	out, err := storm.Run(ctx, cfg)
	if err != nil {
		return err
	}
	out.Oracle.Print(sheet, out.Result)
	if out.Accepted == 0 || out.LostCommits == 0 {
		return errors.New("nothing was sent, or no answer lost: the run shows nothing")
	}
	sheet.Count("lost_commit_answers", out.LostCommits, "commits", cfg.Sends)
	sheet.Count("database_kills", out.DatabaseKills, "kills", cfg.Sends)
	sheet.Zero("lost_commit_violations", len(out.Oracle.Violations(oracle.I2))+len(out.Oracle.Violations(oracle.I3)), "violations", out.LostCommits)
	return nil
}

// nothing is R4: nothing is taken and nobody knows. Each send leaves at most
// once more, after the settle time, then a person looks. (One that a busy machine stopped before its call leaves once.)
func nothing(ctx context.Context, cfg storm.Settling, sheet *figure.Sheet) error {
	cfg.Fault = simulator.Status5xxClean
	out, err := storm.Settle(ctx, cfg)
	if err != nil {
		return err
	}
	out.Oracle.Print(sheet, out.Result)
	sheet.Must("nothing_taken_parked", out.Parked, cfg.Sends, "sends")
	sheet.Count("nothing_taken_posts", out.Posts, "posts", cfg.Sends)
	sheet.Zero("nothing_taken_early", out.Early, "resends", cfg.Sends)
	sheet.Zero("nothing_taken_more_than_once", out.More, "sends", cfg.Sends)
	return nil
}
