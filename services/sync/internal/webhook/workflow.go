package webhook

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// workflow is the body of a workflow's webhook action.
type workflow struct {
	ContactID string `json:"contact_id"`
	FirstName lax    `json:"first_name"`
	LastName  lax    `json:"last_name"`
	Email     lax    `json:"email"`
	Phone     lax    `json:"phone"`
	TimeZone  lax    `json:"timezone"`
	Company   lax    `json:"company_name"`
	Location  struct {
		ID string `json:"id"`
	} `json:"location"`
	Workflow struct {
		ID lax `json:"id"`
	} `json:"workflow"`
	Message struct {
		Type json.RawMessage `json:"type"`
		Body string          `json:"body"`
	} `json:"message"`
}

var workflowNames = namesOf(reflect.TypeFor[workflow]())

// workflowEvent reads a workflow webhook. It carries no id, so its key is made of workspace, contact, workflow, the exact
// body and the minute of arrival.
func workflowEvent(d Delivery) (Event, error) {
	var w workflow
	if err := json.Unmarshal(workflowNames.ours(d.top), &w); err != nil {
		return Event{}, errType
	}
	if !lead.ValidID(w.ContactID) {
		return Event{}, fmt.Errorf("%w: contact_id is missing or not a provider id", ErrBody)
	}
	minute := strconv.FormatInt(d.Received.Unix()/60, 10)
	e := Event{
		Type: "WorkflowContact", Kind: Contact, Location: w.Location.ID, Inbound: true, MessageTime: d.Received,
		WebhookID: d.key(w.ContactID, string(w.Workflow.ID), string(d.Body), minute),
		Lead: lead.Facts{
			ContactID: w.ContactID, FirstName: string(w.FirstName), LastName: string(w.LastName), Email: string(w.Email), Phone: string(w.Phone),
			TimeZone: string(w.TimeZone), CompanyName: string(w.Company),
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
