package sync_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// long writes n messages of a size in one commit.
func (a *author) long(ctx context.Context, n, size int) error {
	return a.Workspace(ctx, a.thread.Workspace, func(tx *store.Tx) error {
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: a.thread.Workspace, ID: a.thread.Lead}); err != nil {
			return err
		}
		var page []store.Imported
		for range n {
			at := time.UnixMilli(a.n.Add(1))
			page = append(page, store.Imported{ID: a.thread.Lead.String() + at.String(), At: at, Body: strings.Repeat("x", size), Texted: true})
		}
		_, err := tx.StorePage(ctx, a.thread, page)
		return err
	})
}

// drain reads a stream to n changes or to its end, and gives the last cursor.
func drain(stream grpc.ServerStreamingClient[syncv1.WatchConversationsResponse], seen map[string]bool, n int) (cursor string, err error) {
	for len(seen) < n {
		answer, err := stream.Recv()
		if err != nil {
			return cursor, err
		}
		for _, change := range answer.GetChanges() {
			if seen[change.GetMessageName()] {
				return cursor, context.DeadlineExceeded // repeated: shows as another error than the wanted one
			}
			seen[change.GetMessageName()] = true
		}
		cursor = answer.GetCursor()
	}
	return cursor, nil
}

// A watcher that stops reading holds one answer, is shown the door with a reason, and goes on from its cursor without loss.
func TestAStalledWatcher(t *testing.T) {
	const batches, batch, size = 16, 250, 4000 // 16 MB of texts
	var cfg relancesync.Config
	r := newRig(t, func(c *relancesync.Config) { c.WatchStall = 2 * time.Second; cfg = *c })
	client := r.watcher()
	w := r.tenant("loc0000000000000001")
	a := w.writers(cfg, 1, client)[0]
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	// A fixed window: what the client itself would buffer is not what is measured.
	narrow := r.watcher(grpc.WithInitialWindowSize(128<<10), grpc.WithInitialConnWindowSize(128<<10))
	stalled, cursor := begin(ctx, t, narrow, w.name, "")
	quick, _ := begin(ctx, t, client, w.name, cursor)
	// The control: one that reads gets all, while the other stands still.
	all := map[string]bool{}
	done := make(chan error, 1)
	go func() {
		_, err := drain(quick, all, batches*batch)
		done <- err
	}()
	for range batches {
		if err := a.long(ctx, batch, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	time.Sleep(cfg.WatchStall + time.Second) // the stall itself
	last, err := drain(stalled, seen, batches*batch)
	if e := rpctest.RequireError(t, err, codes.ResourceExhausted, "WATCHER_STALLED"); e.Metadata["stalled_for"] != "2s" {
		t.Errorf("metadata %v", e.Metadata)
	}
	// No more than one answer is made for it ahead of what it takes: of 500 changes at most, and what its window holds.
	if len(seen) == 0 || len(seen) > 1000 || last == "" {
		t.Fatalf("%d changes before the end, cursor %q", len(seen), last)
	}
	early := len(seen)
	again, _ := begin(ctx, t, client, w.name, last)
	if _, err := drain(again, seen, batches*batch); err != nil || len(seen) != len(all) {
		t.Fatalf("%d of %d changes, %v", len(seen), len(all), err)
	}
	t.Logf("%d changes came before the stall, %d after it", early, len(seen)-early)
}
