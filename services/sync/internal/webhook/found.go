package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
)

// Found is a message that the poller found at GoHighLevel.
type Found struct {
	Location, Contact, Conversation, ID string
	Inbound                             bool
	Channel                             sending.Channel
	Text, Source, Status                string
	At                                  time.Time
}

// Body is the message as its webhook would have told it, for Parse with source Poller.
func (f Found) Body() ([]byte, error) {
	kind, direction, channel := "OutboundMessage", "outbound", "SMS"
	if f.Inbound {
		kind, direction = "InboundMessage", "inbound"
	}
	if f.Channel == sending.Email {
		channel = "Email"
	}
	raw, err := json.Marshal(map[string]string{
		"type": kind, "locationId": f.Location, "contactId": f.Contact, "conversationId": f.Conversation, "messageId": f.ID,
		"direction": direction, "messageType": channel, "body": f.Text, "source": f.Source, "status": f.Status,
		"dateAdded": f.At.UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		return nil, fmt.Errorf("write found message: %w", err)
	}
	return raw, nil
}
