// Package loglevel quiets libraries that log each round of their work.
package loglevel

import (
	"context"
	"log/slog"
)

// AtLeast drops records below level, for libraries that log each round of their work at INFO.
func AtLeast(logger *slog.Logger, level slog.Level) *slog.Logger {
	return slog.New(least{Handler: logger.Handler(), level: level})
}

type least struct {
	slog.Handler
	level slog.Level
}

func (h least) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h least) WithAttrs(attrs []slog.Attr) slog.Handler {
	return least{Handler: h.Handler.WithAttrs(attrs), level: h.level}
}

func (h least) WithGroup(name string) slog.Handler {
	return least{Handler: h.Handler.WithGroup(name), level: h.level}
}
