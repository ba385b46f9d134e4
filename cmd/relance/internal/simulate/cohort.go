package simulate

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/relance/relance/cmd/relance/internal/api"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// Filter chooses leads of a workspace; zero fields choose all.
type Filter struct {
	// Has is "sms" or "email": leads with the channel's address.
	Has string
	// Zone is the lead's IANA zone, State its two letters.
	Zone, State string
	// CreatedSince leaves out older leads.
	CreatedSince time.Time
	// Limit is the most leads, oldest first; 0 for all.
	Limit int
}

// Leads lists the names of the workspace's leads that the filter chooses.
func (f Filter) Leads(ctx context.Context, client *api.Client, workspace string) (names []string, err error) {
	for token := ""; ; {
		var page syncv1.ListLeadsResponse
		query := url.Values{"pageSize": {"500"}, "pageToken": {token}}
		if err := client.Get(ctx, "/v1/"+workspace+"/leads", query, &page); err != nil {
			return nil, fmt.Errorf("list leads: %w", err)
		}
		for _, lead := range page.GetLeads() {
			if f.chooses(lead) {
				names = append(names, lead.GetName())
			}
			if f.Limit > 0 && len(names) == f.Limit {
				return names, nil
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return names, nil
		}
	}
}

func (f Filter) chooses(lead *syncv1.Lead) bool {
	switch {
	case f.Has == "sms" && lead.GetPhone() == "", f.Has == "email" && lead.GetEmail() == "":
		return false
	case f.Zone != "" && lead.GetTimeZone() != f.Zone, f.State != "" && lead.GetState() != f.State:
		return false
	}
	return !lead.GetCreateTime().AsTime().Before(f.CreatedSince)
}
