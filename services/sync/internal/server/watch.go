package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// heartbeat is the longest silence of a stream.
const heartbeat = 15 * time.Second

const (
	reasonCursorExpired  = "CURSOR_EXPIRED"
	reasonWatcherStalled = "WATCHER_STALLED"
)

// WatchConversations streams the changes of a workspace. Each watcher reads the table from its own place, page by page;
// one that reads slowly holds nothing but its connection.
func (s *Server) WatchConversations(req *syncv1.WatchConversationsRequest, stream grpc.ServerStreamingServer[syncv1.WatchConversationsResponse]) error {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	at, begin := int64(0), req.GetCursor() == ""
	if !begin {
		var ok bool
		at, ok = parseCursor(workspace, req.GetCursor())
		c.when(!ok, "cursor", "is not a cursor of this workspace")
	}
	if err := c.err(); err != nil {
		return err
	}
	ctx := stream.Context()
	if err := authorize(ctx, workspace); err != nil {
		return err
	}
	leave := s.Feed.Join()
	defer leave()
	if begin {
		// Nobody may have watched for long; what is committed now is before the beginning.
		if err := mapped(s.Store.NumberChanges(ctx)); err != nil {
			return err
		}
	}
	at, err := s.enter(ctx, workspace, at, begin)
	if err != nil {
		return err
	}
	out := &outlet{stream: stream, workspace: workspace, stall: s.WatchStall}
	if err := out.send(nil, at); err != nil {
		return err
	}
	return s.follow(ctx, out, at)
}

// outlet writes to a watcher. It holds one answer at a time: a watcher that does not take it is not read for, and is shown the
// door in the end.
type outlet struct {
	stream    grpc.ServerStreamingServer[syncv1.WatchConversationsResponse]
	workspace uuid.UUID
	stall     time.Duration
}

func (o *outlet) send(changes []*syncv1.ConversationChange, at int64) error {
	sent := make(chan error, 1)
	go func() {
		// It ends with the stream at the latest.
		sent <- o.stream.Send(&syncv1.WatchConversationsResponse{Changes: changes, Cursor: cursorOf(o.workspace, at)})
	}()
	timer := time.NewTimer(o.stall)
	defer timer.Stop()
	select {
	case err := <-sent:
		return err
	case <-timer.C:
		return typed(codes.ResourceExhausted, reasonWatcherStalled, "the watcher takes nothing; handle what has come and watch again from the last cursor").
			With("stalled_for", o.stall.String())
	}
}

func (s *Server) follow(ctx context.Context, out *outlet, at int64) error {
	workspace := out.workspace
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		next := s.Feed.Next()
		changes, last, err := s.changes(ctx, workspace, at)
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			at = last
			if err := out.send(changes, at); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		case <-beat.C:
			// The workspace's place moves on with the others', so that a quiet one does not expire.
			if at, err = s.enter(ctx, workspace, at, false); err != nil {
				return err
			}
			if err := out.send(nil, at); err != nil {
				return err
			}
		}
	}
}

// enter gives the place where a watcher begins, and refuses one whose changes are gone.
func (s *Server) enter(ctx context.Context, workspace uuid.UUID, at int64, begin bool) (int64, error) {
	var now db.PositionRow
	var waiting []db.ChangesAfterRow
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		if _, err := tx.OneWorkspace(ctx, workspace); err != nil {
			return found(err, "workspace", workspaceName(workspace))
		}
		if now, err = tx.Position(ctx); err != nil || begin {
			return err
		}
		waiting, err = tx.ChangesAfter(ctx, db.ChangesAfterParams{WorkspaceID: workspace, After: at})
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case begin:
		return now.Last, nil
	case at < now.Floor:
		days := strconv.Itoa(int(store.ChangesKept / (24 * time.Hour)))
		return 0, typed(codes.OutOfRange, reasonCursorExpired, "changes after the cursor are not kept any more; list again and watch anew").With("kept_days", days)
	case at > now.Last:
		return 0, apierr.Invalid(apierr.FieldViolation{Field: "cursor", Description: "is not a cursor of this workspace"})
	case len(waiting) == 0:
		return now.Last, nil // Read before the changes were: whatever is numbered up to it is not of this workspace.
	default:
		return at, nil
	}
}

// changes reads the changes after a place, with the messages as they are now.
func (s *Server) changes(ctx context.Context, workspace uuid.UUID, at int64) ([]*syncv1.ConversationChange, int64, error) {
	var rows []db.ChangesAfterRow
	messages := map[uuid.UUID]db.MessageRow{}
	verdicts := map[uuid.UUID]*syncv1.MessageVerdict{}
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		if rows, err = tx.ChangesAfter(ctx, db.ChangesAfterParams{WorkspaceID: workspace, After: at}); err != nil || len(rows) == 0 {
			return err
		}
		var ids []uuid.UUID
		for _, r := range rows {
			ids = append(append(ids, r.MessageID), r.More...)
		}
		found, err := tx.MessagesByID(ctx, db.MessagesByIDParams{WorkspaceID: workspace, Ids: ids})
		for _, m := range found {
			messages[m.Message.ID] = db.MessageRow(m)
		}
		if err != nil {
			return err
		}
		said, err := tx.Verdicts(ctx, db.VerdictsParams{WorkspaceID: workspace, Ids: ids})
		for _, v := range said {
			verdicts[v.MessageID] = &syncv1.MessageVerdict{Verdict: v.Verdict, Classifier: v.Classifier, UpdateTime: stamp(v.UpdateTime)}
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	var out []*syncv1.ConversationChange
	for _, r := range rows {
		for _, id := range append([]uuid.UUID{r.MessageID}, r.More...) {
			change := &syncv1.ConversationChange{
				Kind:         syncv1.ChangeKind(syncv1.ChangeKind_value["CHANGE_KIND_"+r.Kind]),
				Conversation: conversationName(workspace, r.LeadID, r.Channel), MessageName: messageName(workspace, id),
				CreateTime: stamp(r.CreateTime), Verdict: verdicts[id],
			}
			if m, ok := messages[id]; ok {
				if change.Message, err = s.messageProto(m); err != nil {
					return nil, 0, err
				}
			}
			out = append(out, change)
		}
		at = r.Position
	}
	return out, at, nil
}

// cursorOf is opaque to callers and of one workspace.
func cursorOf(workspace uuid.UUID, at int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "changes:%s|%d", workspace, at))
}

func parseCursor(workspace uuid.UUID, cursor string) (int64, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	text, ok := strings.CutPrefix(string(raw), "changes:"+workspace.String()+"|")
	at, parseErr := strconv.ParseInt(text, 10, 64)
	return at, err == nil && ok && parseErr == nil && at >= 0
}
