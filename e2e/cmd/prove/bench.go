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
	only := flags.String("only", "", "one of sends, webhooks, followups; empty for all")
	sends := flags.Int("sends", 2000, "messages in each of three rounds")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "sends", "webhooks", "followups"}, *only) {
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
