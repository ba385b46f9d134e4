package sync_test

import (
	"context"
	"fmt"
	"strings"
	stdsync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/secretbox"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/simulator"
)

// replicas starts a rig with n instances on one database, and a client of each.
func replicas(t *testing.T, n int) (*rig, []syncv1.SyncServiceClient, relancesync.Config) {
	t.Helper()
	var cfg relancesync.Config
	r := newRig(t, func(c *relancesync.Config) { c.MaxConns = 6; cfg = *c })
	clients := []syncv1.SyncServiceClient{r.watcher()}
	for range n - 1 {
		r.start(cfg)
		clients = append(clients, r.watcher())
	}
	return r, clients, cfg
}

// watcher is an admin's client whose streams carry the token.
func (r *rig) watcher(options ...grpc.DialOption) syncv1.SyncServiceClient {
	gateway := r.identity("gateway")
	signer := principal.NewSigner(gateway.Signer(), time.Now)
	mint := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		token, err := signer.Token(principal.Principal{Kind: principal.KindAdmin}, "sync")
		if err != nil {
			return nil, err
		}
		return next(principal.OutgoingToken(ctx, token), desc, cc, method, opts...)
	}
	conn, err := rpc.Dial(rpc.ClientConfig{
		Target: r.target, Service: "sync", Identity: gateway, Options: append(options, grpc.WithChainStreamInterceptor(mint)),
	})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close() })
	return syncv1.NewSyncServiceClient(conn)
}

// begin opens a stream and reads its first answer.
func begin(ctx context.Context, t *testing.T, c syncv1.SyncServiceClient, parent, cursor string) (grpc.ServerStreamingClient[syncv1.WatchConversationsResponse], string) {
	t.Helper()
	stream, err := c.WatchConversations(ctx, &syncv1.WatchConversationsRequest{Parent: parent, Cursor: cursor})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return stream, first.GetCursor()
}

// author writes messages as the service does, under the lead's lock; their times count up in the order of commits.
type author struct {
	*store.Store
	thread store.Thread
	n      atomic.Int64
}

func (h thread) author(cfg relancesync.Config) *author {
	box, err := secretbox.New([]byte(cfg.KeysetJSON.Reveal()))
	if err != nil {
		h.Fatal(err)
	}
	ids := strings.Split(h.lead, "/")
	return &author{
		Store:  store.New(store.Config{Pool: h.db.Pool(h.T, "sync"), Box: box, Clock: h.clock}),
		thread: store.Thread{Workspace: uuid.MustParse(ids[1]), Lead: uuid.MustParse(ids[3]), Channel: sending.SMS},
	}
}

func (a *author) write(ctx context.Context, n int, before ...func()) error {
	return a.Workspace(ctx, a.thread.Workspace, func(tx *store.Tx) error {
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: a.thread.Workspace, ID: a.thread.Lead}); err != nil {
			return err
		}
		var page []store.Imported
		for range n {
			at := time.UnixMilli(a.n.Add(1))
			page = append(page, store.Imported{ID: a.thread.Lead.String() + at.String(), At: at, Body: "hello", Texted: true})
		}
		_, err := tx.StorePage(ctx, a.thread, page)
		for _, f := range before {
			f()
		}
		return err
	})
}

// writers makes leads with an author each, and sees that what made them is told before the test begins.
func (w tenant) writers(cfg relancesync.Config, n int, first syncv1.SyncServiceClient) []*author {
	var out []*author
	for i := range n {
		lead, _ := w.lead(contactAt(i))
		out = append(out, thread{tenant: w, lead: lead}.author(cfg))
	}
	begin(w.Context(), w.T, first, w.name, "")
	w.eventually("changes numbered", func() bool { return w.count(`SELECT count(*) FROM conversation_change WHERE position IS NULL`) == 0 })
	return out
}

func contactAt(i int) simulator.Contact {
	return simulator.Contact{Phone: fmt.Sprintf("+1555010%04d", i)}
}

func TestWatchAcrossReplicasLosesAndRepeatsNothing(t *testing.T) {
	const total, writers, leads, batch = 10_000, 6, 12, 20
	r, clients, cfg := replicas(t, 3)
	w := r.tenant("loc0000000000000001")
	authors := w.writers(cfg, leads, clients[0])
	_, cursor := begin(t.Context(), t, clients[0], w.name, "")
	var group stdsync.WaitGroup
	for k := range writers {
		group.Go(func() {
			for i := k; i < total/batch; i += writers {
				if err := authors[i%leads].write(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	last, seen := map[string]time.Time{}, map[string]bool{}
	for turn := 0; len(seen) < total; turn++ {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		stream, _ := begin(ctx, t, clients[turn%len(clients)], w.name, cursor)
		for answers := 0; answers < 4 && len(seen) < total; {
			answer, err := stream.Recv()
			if err != nil {
				t.Fatalf("after %d changes: %v", len(seen), err)
			}
			for _, change := range answer.GetChanges() {
				at := change.GetMessage().GetMessageTime().AsTime()
				if seen[change.GetMessageName()] || !at.After(last[change.GetConversation()]) {
					t.Fatalf("%s repeated or out of order", change.GetMessageName())
				}
				seen[change.GetMessageName()], last[change.GetConversation()] = true, at
			}
			if len(answer.GetChanges()) > 0 {
				answers++
			}
			cursor = answer.GetCursor()
		}
		cancel()
		if turn == 2 { // The listening connections break; the watchers go on.
			r.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`)
		}
	}
	group.Wait()
	if n := r.count(`SELECT count(*) FROM message`); len(seen) != total || n != total {
		t.Errorf("%d changes of %d, %d messages", len(seen), total, n)
	}
}

// A change that draws its number first and commits last is neither lost nor told early.
func TestWatchTellsLateCommits(t *testing.T) {
	r, clients, cfg := replicas(t, 1)
	w := r.tenant("loc0000000000000001")
	authors := w.writers(cfg, 2, clients[0])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, _ := begin(ctx, t, clients[0], w.name, "")
	next := func() string {
		for {
			answer, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if len(answer.GetChanges()) > 0 {
				return answer.GetChanges()[0].GetConversation()
			}
		}
	}
	name := func(a *author) string { return fmt.Sprintf("%s/leads/%s/conversations/sms", w.name, a.thread.Lead) }
	err := authors[0].write(ctx, 1, func() {
		if err := authors[1].write(ctx, 1); err != nil {
			t.Error(err)
		}
		if got := next(); got != name(authors[1]) {
			t.Errorf("first told: %s, want %s", got, name(authors[1]))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := next(); got != name(authors[0]) {
		t.Errorf("then told: %s, want %s", got, name(authors[0]))
	}
	// The hazard was there: by the number drawn, the first was behind what had been told.
	if n := r.count(`SELECT count(*) FROM conversation_change a JOIN conversation_change b ON a.seq < b.seq AND a.position > b.position`); n == 0 {
		t.Error("control: commits were not out of order")
	}
}

func TestWatchCursorsVerdictsAndDrain(t *testing.T) {
	r, clients, _ := replicas(t, 1)
	w := r.tenant("loc0000000000000001")
	h := w.thread()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, old := begin(ctx, t, clients[0], w.name, "")
	h.add("inbound", "how much is it?", time.Hour)
	h.sync("sms", false)
	answer, err := stream.Recv()
	if err != nil || len(answer.GetChanges()) != 1 || answer.GetChanges()[0].GetMessage().GetBody() != "how much is it?" {
		t.Fatalf("%v %v", answer, err)
	}
	name := answer.GetChanges()[0].GetMessageName()
	for range 2 {
		set, err := r.admin.SetMessageVerdict(ctx, &syncv1.SetMessageVerdictRequest{
			Name: name, Verdict: &syncv1.MessageVerdict{Verdict: "interested", Classifier: "rules-1"},
		})
		if err != nil || set.GetVerdict().GetVerdict() != "interested" {
			t.Fatalf("%v %v", set, err)
		}
	}
	answer, err = stream.Recv()
	if err != nil || len(answer.GetChanges()) != 1 || answer.GetChanges()[0].GetKind() != syncv1.ChangeKind_CHANGE_KIND_MESSAGE_VERDICT ||
		answer.GetChanges()[0].GetVerdict().GetClassifier() != "rules-1" {
		t.Fatalf("%v %v", answer, err)
	}
	if n := r.count(`SELECT count(*) FROM conversation_change WHERE kind = 'MESSAGE_VERDICT'`); n != 1 {
		t.Errorf("%d changes of one verdict said twice", n)
	}
	_, err = r.admin.SetMessageVerdict(ctx, &syncv1.SetMessageVerdictRequest{Name: name, Verdict: &syncv1.MessageVerdict{Verdict: "So So"}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("bad verdict: %v", err)
	}
	r.exec(`UPDATE change_position SET floor = last`)
	other := r.tenant("loc0000000000000002")
	for _, c := range []struct {
		parent, cursor string
		want           codes.Code
	}{
		{w.name, old, codes.OutOfRange},
		{w.name, "junk", codes.InvalidArgument},
		{other.name, old, codes.InvalidArgument},
		{"workspaces/00000000-0000-4000-8000-000000000000", "", codes.NotFound},
	} {
		stream, err := clients[0].WatchConversations(ctx, &syncv1.WatchConversationsRequest{Parent: c.parent, Cursor: c.cursor})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != c.want {
			t.Errorf("%s %q: %v, want %v", c.parent, c.cursor, err, c.want)
		}
	}
}
