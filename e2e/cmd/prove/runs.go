package main

import (
	"context"
	"flag"
	"io"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/runs"
)

// runRuns kills runs of follow-ups: at each crash point, then at random.
func runRuns(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("runs", flag.ContinueOnError)
	storm := runs.Storm{}
	flags.IntVar(&storm.Leads, "leads", 1000, "leads of the storm, with two steps each")
	flags.IntVar(&storm.Kills, "kills", 50, "kills of the storm")
	flags.IntVar(&storm.Replicas, "replicas", 3, "replicas of followups in the storm")
	flags.Uint64Var(&storm.Seed, "seed", 1, "seed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	binary, clean, err := build(ctx, "crashpoints")
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	if err := runs.RunCells(ctx, binary, runs.Cells(), sheet); err != nil {
		return err
	}
	storm.Binary = binary
	if err := storm.Run(ctx, sheet); err != nil {
		return err
	}
	return sheet.Err()
}
