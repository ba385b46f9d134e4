package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// takenOverlap is how far a feed that was read to its end is read again: a row is stamped before its commit, and may show
// after later ones.
const takenOverlap = 30 * time.Second

// place is where a reader of the feed of taken times stands.
type place struct {
	At        time.Time `json:"at"`
	Workspace uuid.UUID `json:"workspace"`
	Provider  string    `json:"provider,omitempty"`
	ID        string    `json:"id,omitempty"`
}

// ListTakenTimes tells which times appointments take or give back.
func (s *Server) ListTakenTimes(ctx context.Context, req *syncv1.ListTakenTimesRequest) (*syncv1.ListTakenTimesResponse, error) {
	var c check
	size, from := req.GetPageSize(), place{}
	c.when(size < 0 || size > maxPage, "page_size", "must be 0 to 500")
	if size == 0 {
		size = maxPage
	}
	if req.GetCursor() != "" {
		raw, err := base64.RawURLEncoding.DecodeString(req.GetCursor())
		c.when(err != nil || json.Unmarshal(raw, &from) != nil, "cursor", "is not a cursor of this feed")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.TakenTimesRow
	err := s.Store.System(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.TakenTimes(ctx, db.TakenTimesParams{
			StoredAt: from.At, AfterWorkspace: from.Workspace, AfterProvider: from.Provider, AfterID: from.ID, Page: size + 1,
		})
		return err
	})
	if err != nil {
		return nil, mapped(err)
	}
	out := &syncv1.ListTakenTimesResponse{More: len(rows) > int(size)}
	if out.More {
		rows = rows[:size]
	}
	next := place{At: from.At}
	for _, row := range rows {
		next.At = row.StoredAt.Add(-takenOverlap)
		if taken := takenProto(row); taken != nil {
			out.Times = append(out.Times, taken)
		}
	}
	if out.More {
		last := rows[len(rows)-1]
		next = place{At: last.StoredAt, Workspace: last.WorkspaceID, Provider: last.Provider, ID: last.ProviderID}
	}
	raw, err := json.Marshal(next)
	out.Cursor = base64.RawURLEncoding.EncodeToString(raw)
	return out, err
}

// takenProto is nil for an appointment whose start was never told: it takes no time that could be named.
func takenProto(row db.TakenTimesRow) *syncv1.TakenTime {
	if row.StartTime == nil {
		return nil
	}
	out := &syncv1.TakenTime{
		Workspace: workspaceName(row.WorkspaceID), Provider: row.Provider, Calendar: row.Calendar, Appointment: row.ProviderID,
		Taken: booking.Status(row.Status).Active() && row.TakenTime != nil, StartTime: stamp(*row.StartTime), EndTime: stamp(*row.StartTime),
	}
	if row.EndTime != nil {
		out.EndTime = stamp(*row.EndTime)
	}
	if row.TakenTime != nil {
		out.TakenTime = stamp(*row.TakenTime)
	}
	return out
}
