package apierr_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/relance/relance/platform/apierr"
)

func TestItemsAreMappedAsCallsAre(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	item := func(err error) *apierr.Error {
		return apierr.FromItem(apierr.Item(t.Context(), slog.New(slog.NewJSONHandler(&log, nil)), "/s/M", err))
	}
	if diff := cmp.Diff(full(), item(fmt.Errorf("item: %w", full()))); diff != "" || log.Len() > 0 {
		t.Errorf("(-packed +read)\n%s\nlog %s", diff, log.String())
	}
	for name, fail := range map[string]func() error{
		"plain error": func() error { return errors.New("connect to 10.0.0.7: refused") },
		"panic":       func() error { panic("at 10.0.0.7") },
	} {
		log.Reset()
		got := item(apierr.Caught(fail))
		if got.Code != codes.Internal || strings.Contains(got.Message, "10.0.0.7") {
			t.Errorf("%s: %v", name, got)
		}
		if strings.Count(log.String(), "10.0.0.7") != 1 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: want one line with the cause, got %q", name, log.String())
		}
	}
	if got := apierr.Item(t.Context(), slog.New(slog.DiscardHandler), "/s/M", nil); got != nil {
		t.Errorf("no error gave %v", got)
	}
	for _, packed := range []*anypb.Any{nil, {}, {TypeUrl: "type.googleapis.com/google.rpc.Status"}} {
		if got := apierr.FromItem(packed); got == nil || got.Code != codes.Internal {
			t.Errorf("FromItem(%v) = %v, want Internal", packed, got)
		}
	}
	if err := apierr.Caught(func() error { return nil }); err != nil {
		t.Errorf("Caught = %v", err)
	}
}
