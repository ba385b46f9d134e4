package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"

	"github.com/relance/relance/e2e/internal/bench"
	"github.com/relance/relance/e2e/internal/figure"
)

func runBench(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "one of sends, webhooks, followups, imports, sizes; empty for all")
	sends := flags.Int("sends", 2000, "messages, or webhooks, in each of three rounds")
	imports := flags.Int("imports", 100_000, "messages that are imported")
	scale := flags.Int("scale", 2_000_000, "messages in the larger of the two tables; the smaller has 10,000, or half of this if that is less")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "sends", "webhooks", "followups", "imports", "sizes"}, *only) {
		return fmt.Errorf("no bench is named %q", *only) // a bench that measured nothing would pass
	}
	binary, clean, err := build(ctx)
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	for _, b := range []struct {
		name string
		run  func(context.Context, *figure.Sheet) error
	}{
		{"sends", (&bench.Sends{Binary: binary, PerRound: *sends}).Run},
		{"webhooks", (&bench.Webhooks{Binary: binary, PerRound: *sends}).Run},
		{"followups", (&bench.FollowUps{Binary: binary, PerRound: *sends}).Run},
		{"imports", (&bench.Imports{Binary: binary, Messages: *imports}).Run},
		{"sizes", (&bench.Sizes{Binary: binary, Small: min(10_000, *scale/2), Large: *scale, Calls: min(200, *sends)}).Run},
	} {
		if *only != "" && *only != b.name {
			continue
		}
		if err := b.run(ctx, sheet); err != nil {
			return err
		}
	}
	return sheet.Err()
}
