package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// workflow is the body of a workflow's webhook action.
type workflow struct {
	ContactID string `json:"contact_id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`
	Phone     string `json:"phone"`
	TimeZone  string `json:"timezone"`
	Company   string `json:"company_name"`
	Location  struct {
		ID string `json:"id"`
	} `json:"location"`
	Workflow struct {
		ID string `json:"id"`
	} `json:"workflow"`
	Message struct {
		Type json.RawMessage `json:"type"`
		Body string          `json:"body"`
	} `json:"message"`
}

// workflowEvent reads a workflow webhook. It carries no id, so its key is made of workspace, contact, workflow, the exact
// body and the minute of arrival.
func workflowEvent(d Delivery) (Event, error) {
	var w workflow
	if err := json.Unmarshal(d.Body, &w); err != nil {
		return Event{}, fmt.Errorf("%w: a field has the wrong type", ErrBody)
	}
	if !lead.ValidID(w.ContactID) {
		return Event{}, fmt.Errorf("%w: contact_id is missing or not a provider id", ErrBody)
	}
	minute := strconv.FormatInt(d.Received.Unix()/60, 10)
	e := Event{
		Type: "WorkflowContact", Kind: Contact, Location: w.Location.ID, Inbound: true, MessageTime: d.Received,
		WebhookID: d.key(w.ContactID, w.Workflow.ID, string(d.Body), minute),
		Lead: lead.Facts{
			ContactID: w.ContactID, FirstName: w.FirstName, LastName: w.LastName, Email: w.Email, Phone: w.Phone,
			TimeZone: w.TimeZone, CompanyName: w.Company,
		},
	}
	if strings.TrimSpace(w.Message.Body) != "" {
		e.Type, e.Kind, e.Text = "WorkflowMessage", Message, w.Message.Body
		e.Channel = workflowChannel(w.Message.Type)
	}
	return e, nil
}

func workflowChannel(raw json.RawMessage) sending.Channel {
	switch strings.Trim(string(raw), `"`) {
	case "3", "Email", "TYPE_EMAIL":
		return sending.Email
	default:
		return sending.SMS
	}
}
