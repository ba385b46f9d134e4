package main

import (
	"context"
	"io"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/storm"
)

func runCells(ctx context.Context, out io.Writer, _ []string) error {
	binary, clean, err := build(ctx, "crashpoints")
	if err != nil {
		return err
	}
	defer clean()
	sheet := figure.NewSheet(out)
	if err := storm.RunCells(ctx, binary, storm.Cells(), sheet); err != nil {
		return err
	}
	return sheet.Err()
}
