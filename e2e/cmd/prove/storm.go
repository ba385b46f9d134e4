package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/e2e/internal/storm"
)

// build makes relance with tags in a directory that the caller removes.
func build(ctx context.Context, tags ...string) (binary string, clean func(), err error) {
	dir, err := os.MkdirTemp("", "rel-prove-")
	if err != nil {
		return "", nil, fmt.Errorf("build: %w", err)
	}
	clean = func() { _ = os.RemoveAll(dir) }
	if binary, err = lab.Build(ctx, dir, tags...); err != nil {
		clean()
	}
	return binary, clean, err
}

func runStorm(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("storm", flag.ContinueOnError)
	cfg := storm.Config{Replicas: 3, PerPerson: 2, Patience: 3 * time.Minute}
	flags.IntVar(&cfg.Sends, "sends", 10000, "sends")
	flags.IntVar(&cfg.Kills, "kills", 500, "kills")
	flags.IntVar(&cfg.PerPerson, "per-person", 2, "sends to each contact")
	flags.DurationVar(&cfg.Patience, "patience", cfg.Patience, "time to settle at the end")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "seed")
	flags.Float64Var(&cfg.Faults, "faults", 0.01, "share of requests that each fault hits")
	flags.Float64Var(&cfg.Pauses, "pauses", 0.02, "share of kills that are long pauses instead")
	flags.IntVar(&cfg.DatabaseKills, "database-kills", 0, "SIGKILLs of PostgreSQL")
	flags.Float64Var(&cfg.LostCommits, "lost-commits", 0, "share of COMMITs whose answer is lost")
	if err := flags.Parse(args); err != nil {
		return err
	}
	binary, clean, err := build(ctx)
	if err != nil {
		return err
	}
	defer clean()
	cfg.Binary = binary
	outcome, err := storm.Run(ctx, cfg)
	if err != nil {
		return err
	}
	sheet := figure.NewSheet(out)
	outcome.Print(sheet, cfg.Seed)
	return sheet.Err()
}
