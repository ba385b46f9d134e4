package server

import (
	"context"
	"strings"
	"unicode"

	"github.com/google/uuid"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/zone"
)

const maxText = 500

// UpsertLead finds, fills or makes a lead.
func (s *Server) UpsertLead(ctx context.Context, req *syncv1.UpsertLeadRequest) (*syncv1.UpsertLeadResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	facts, alternates := c.lead(req.GetLead()), c.alternates(req.GetLead().GetAlternateEmails())
	if err := c.err(); err != nil {
		return nil, err
	}
	out := &syncv1.UpsertLeadResponse{}
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) error {
		if _, err := tx.OneWorkspace(ctx, workspace); err != nil {
			return found(err, "workspace", workspaceName(workspace))
		}
		row, created, err := tx.UpsertLead(ctx, workspace, facts, alternates...)
		if err != nil {
			return err
		}
		if req.GetLead().GetBlocked() && !row.Blocked {
			if err := tx.BlockLead(ctx, db.BlockLeadParams{Now: tx.Now, WorkspaceID: workspace, ID: row.ID}); err != nil {
				return err
			}
			row.Blocked = true
		}
		channels, err := tx.LeadChannels(ctx, db.LeadChannelsParams{WorkspaceID: workspace, LeadIds: []uuid.UUID{row.ID}})
		if err != nil {
			return err
		}
		out.Lead, out.Created = leadProto(row, channels), created
		out.Lead.AlternateEmails, err = tx.AlternateEmails(ctx, db.AlternateEmailsParams{WorkspaceID: workspace, LeadID: row.ID})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *check) lead(l *syncv1.Lead) lead.Facts {
	_, emailOK := lead.Email(l.GetEmail())
	_, phoneOK := lead.Phone(l.GetPhone(), "")
	c.when(!emailOK, "lead.email", "must be an email address")
	c.when(!phoneOK, "lead.phone", "must be a phone number, such as +12025550123")
	c.when(l.GetGhlContactId() != "" && !lead.ValidID(l.GetGhlContactId()), "lead.ghl_contact_id", "must be 15 to 64 letters and digits")
	c.when(l.GetTimeZone() != "" && !validZone(l.GetTimeZone()), "lead.time_zone", "must be an IANA zone such as America/New_York")
	c.when(l.GetCountry() != "" && !isCountry(l.GetCountry()), "lead.country", "must be two letters such as US")
	for field, text := range map[string]string{
		"lead.state":      l.GetState(),
		"lead.first_name": l.GetFirstName(), "lead.last_name": l.GetLastName(), "lead.company_name": l.GetCompanyName(),
	} {
		c.when(len([]rune(text)) > maxText, field, "must be at most 500 characters")
	}
	facts := lead.Facts{
		ContactID: l.GetGhlContactId(), FirstName: l.GetFirstName(), LastName: l.GetLastName(), Email: l.GetEmail(),
		Phone: l.GetPhone(), TimeZone: l.GetTimeZone(), TimeZoneSource: zone.Person, CompanyName: l.GetCompanyName(),
		State: l.GetState(), Country: l.GetCountry(),
	}.Normal("")
	c.when(l.GetGhlContactId() == "" && l.GetEmail() == "" && l.GetPhone() == "", "lead",
		"needs at least one of ghl_contact_id, email, phone")
	return facts
}

// alternates are the lead's other addresses in their normal form.
func (c *check) alternates(said []string) []string {
	out := lead.Alternates(said)
	c.when(len(out) != len(said), "lead.alternate_emails", "must be at most 50 different email addresses")
	return out
}

func isCountry(s string) bool {
	return len(s) == 2 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

// GetLead reads one lead.
func (s *Server) GetLead(ctx context.Context, req *syncv1.GetLeadRequest) (*syncv1.GetLeadResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "leads")
	if err := c.err(); err != nil {
		return nil, err
	}
	out := &syncv1.GetLeadResponse{}
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) error {
		row, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err, "lead", req.GetName())
		}
		channels, err := tx.LeadChannels(ctx, db.LeadChannelsParams{WorkspaceID: workspace, LeadIds: []uuid.UUID{id}})
		if err != nil {
			return err
		}
		out.Lead = leadProto(row, channels)
		out.Lead.AlternateEmails, err = tx.AlternateEmails(ctx, db.AlternateEmailsParams{WorkspaceID: workspace, LeadID: id})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// BatchGetLeads reads up to 500 leads of one workspace.
func (s *Server) BatchGetLeads(ctx context.Context, req *syncv1.BatchGetLeadsRequest) (*syncv1.BatchGetLeadsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	c.when(len(req.GetNames()) > maxPage, "names", "must be at most 500")
	ids := make([]uuid.UUID, 0, len(req.GetNames()))
	if len(req.GetNames()) <= maxPage {
		for _, name := range req.GetNames() {
			w, id := c.child("names", name, "leads")
			c.when(w != uuid.Nil && w != workspace, "names", "must all be of the parent's workspace")
			ids = append(ids, id)
		}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	out := &syncv1.BatchGetLeadsResponse{}
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) error {
		rows, err := tx.BatchLeads(ctx, db.BatchLeadsParams{WorkspaceID: workspace, Ids: ids})
		if err != nil {
			return err
		}
		out.Leads, err = leadsWithChannels(ctx, tx, rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListLeads lists a workspace's leads, oldest first.
func (s *Server) ListLeads(ctx context.Context, req *syncv1.ListLeadsRequest) (*syncv1.ListLeadsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	scope := "leads:" + workspace.String()
	size, after := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	out := &syncv1.ListLeadsResponse{}
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) error {
		rows, err := tx.ListLeads(ctx, db.ListLeadsParams{WorkspaceID: workspace, After: after, Page: size + 1})
		if err != nil {
			return err
		}
		out.NextPageToken = ""
		if len(rows) > int(size) {
			rows = rows[:size]
			out.NextPageToken = pageToken(scope, rows[size-1].ID)
		}
		out.Leads, err = leadsWithChannels(ctx, tx, rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func leadsWithChannels(ctx context.Context, tx *store.Tx, rows []db.Lead) ([]*syncv1.Lead, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	channels, err := tx.LeadChannels(ctx, db.LeadChannelsParams{WorkspaceID: rows[0].WorkspaceID, LeadIds: ids})
	if err != nil {
		return nil, err
	}
	byLead := map[uuid.UUID][]db.LeadChannelsRow{}
	for _, ch := range channels {
		byLead[ch.LeadID] = append(byLead[ch.LeadID], ch)
	}
	out := make([]*syncv1.Lead, len(rows))
	for i, r := range rows {
		out[i] = leadProto(r, byLead[r.ID])
	}
	return out, nil
}
