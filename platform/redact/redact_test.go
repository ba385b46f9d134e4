package redact_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/relance/relance/platform/redact"
)

func TestTypedValuesNeverPrint(t *testing.T) {
	t.Parallel()
	const canary = "canary-value"
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{redact.Secret(canary), redact.PII(canary)} {
		logger.Info("m", slog.Any("v", v))
		_, _ = fmt.Fprintf(&out, "%v %s %+v %#v %q", v, v, v, v, v)
		body, err := json.Marshal(map[string]any{"v": v})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(body)
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("canary printed: %s", out.String())
	}
	if redact.Secret(canary).Reveal() != canary {
		t.Error("Reveal lost the value (the control)")
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("Cannot send message as ", " has unsubscribed")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, canary := range []string{"jane.roe@example.com", "+12025550123", "(202) 555-0123", "Bearer abc.def", "pit-0a1b2c"} {
			if got := redact.Text(before + " " + canary + " " + after); strings.Contains(got, canary) && !strings.Contains(before+after, canary) {
				t.Errorf("canary %q survived in %q", canary, got)
			}
		}
	})
}
