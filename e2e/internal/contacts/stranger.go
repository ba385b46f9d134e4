package contacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// stranger is a lead without a contact, in a workspace of its own whose location allows duplicates: the provider would not keep a second
// creation from making a second contact.
type stranger struct {
	lab            *lab.Lab
	client         *lab.Clients
	location, lead string
	first          *syncv1.EnsureContactRequest
}

const email, phone = "eve@example.com", "+12025550142"

func newStranger(ctx context.Context, l *lab.Lab, target, location string) (*stranger, error) {
	client, err := l.Gateway(principal.Principal{Kind: principal.KindAdmin}, target)
	if err != nil {
		return nil, err
	}
	s := &stranger{lab: l, client: client, location: location}
	tenant, err := l.TenantAt(ctx, client, simulator.Location{ID: location, AllowDuplicates: true}, nil)
	if err != nil {
		client.Close()
		return nil, err
	}
	made, err := client.At(0).UpsertLead(ctx, &syncv1.UpsertLeadRequest{Parent: tenant.Name, Lead: &syncv1.Lead{FirstName: "Eve", Email: email, Phone: phone}})
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("make lead: %w", err)
	}
	s.lead = made.GetLead().GetName()
	s.first = s.wish()
	return s, nil
}

func (s *stranger) wish() *syncv1.EnsureContactRequest {
	return &syncv1.EnsureContactRequest{Lead: s.lead, RequestId: uuid.NewString()}
}

// Act asks for the lead's contact.
func (s *stranger) Act(ctx context.Context) { _, _ = s.client.At(0).EnsureContact(ctx, s.first) }

// Settled waits until the link is worked on no more.
func (s *stranger) Settled(ctx context.Context) error {
	bound, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for {
		var ended int
		err := s.lab.Admin.QueryRow(bound, `SELECT count(*) FROM sync.contact_link WHERE request_id = $1 AND state NOT IN ('PLANNED', 'CALLING', 'UNKNOWN')`,
			s.first.GetRequestId()).Scan(&ended)
		if err != nil {
			return fmt.Errorf("link is never settled: %w", err)
		}
		if ended == 1 {
			return nil
		}
		if err := lab.Pause(bound, 20*time.Millisecond); err != nil {
			return fmt.Errorf("link is never settled: %w", err)
		}
	}
}

// contact asks for the lead's contact and gives its id.
func (s *stranger) contact(ctx context.Context, req *syncv1.EnsureContactRequest) (string, error) {
	out, err := s.client.At(0).EnsureContact(ctx, req)
	if err != nil {
		return "", fmt.Errorf("ensure contact: %w", err)
	}
	return out.GetContactLink().GetContact(), nil
}

// asked are the creations that reached the provider, made the contacts that they left.
func (s *stranger) asked() (posts int, made []string) {
	for _, e := range s.lab.Creates(simulator.Filter{Location: s.location}) {
		if posts++; e.Accepted {
			made = append(made, e.MessageID)
		}
	}
	return posts, made
}

// create is a creation without the protocol.
func (s *stranger) create(ctx context.Context) (err error) {
	body := fmt.Sprintf(`{"locationId":%q,"email":%q,"phone":%q}`, s.location, email, phone)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.lab.URL+createPath, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("create contact: %w", err)
	}
	req.Header.Set("Authorization", "Bearer pit-"+s.location)
	req.Header.Set("Version", "2021-07-28")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("create contact: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("create contact: %s: %s", resp.Status, said)
	}
	return nil
}
