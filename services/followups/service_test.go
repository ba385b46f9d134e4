package followups_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/services/followups"
)

func TestServiceSchedulesByItselfAndDrains(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, followups.Migrations())
	ca, err := rpc.NewCA(rpc.TrustDomain)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := ca.Issue(followups.Name)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service, err := followups.New(t.Context(), followups.Config{
		DatabaseURL: database.DSN(followups.Name), SyncTarget: "127.0.0.1:1", AvailabilityTarget: "127.0.0.1:1",
		SchedulerInterval: time.Second, DrainTimeout: time.Second,
	}, followups.Deps{Listener: listener, Identity: identity, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	pool := database.Pool(t, followups.Name)
	deadline := time.Now().Add(20 * time.Second)
	for runs := 0; runs == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the scheduler did not run")
		}
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM run WHERE finished`).Scan(&runs)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("run: %v", err)
	}
}

func TestConfigReportsEveryProblem(t *testing.T) {
	t.Parallel()
	bad := followups.Config{MaxConns: 1, SchedulerInterval: time.Millisecond, BatchSize: 501, LeaseDuration: time.Millisecond, MaxAttempts: 21}
	if got := len(bad.Problems()); got != 8 {
		t.Fatalf("%d problems: %v", got, bad.Problems())
	}
}
