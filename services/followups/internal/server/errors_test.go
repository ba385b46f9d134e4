package server

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

// TestLostRacesAreAborted: who lost a race may ask again; it is no fault that is worth a line in the log.
func TestLostRacesAreAborted(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]codes.Code{"40P01": codes.Aborted, "40001": codes.Aborted, "55P03": codes.Aborted, "42601": codes.Unknown} {
		err := mapped(fmt.Errorf("change: %w", &pgconn.PgError{Code: state}), "enrollment", "")
		if got := apierr.Code(err); got != want {
			t.Errorf("%s: %s, want %s", state, got, want)
		}
		if cause, ok := errors.AsType[*pgconn.PgError](err); !ok || cause.Code != state {
			t.Errorf("%s: the cause is gone: %v", state, err)
		}
	}
}
