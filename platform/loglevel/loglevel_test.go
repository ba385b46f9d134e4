package loglevel_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/relance/relance/platform/loglevel"
)

func TestAtLeastDropsOnlyWhatIsBelow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := loglevel.AtLeast(slog.New(slog.NewJSONHandler(&out, nil)), slog.LevelWarn).With(slog.String("k", "v"))
	logger.Info("round done")
	logger.Warn("queue stuck")
	if text := out.String(); strings.Contains(text, "round done") || !strings.Contains(text, "queue stuck") {
		t.Errorf("logged %q", text)
	}
}
