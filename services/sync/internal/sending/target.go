package sending

import "strings"

// Target is the email that a reply answers, in the words of the provider that brought it. It holds addresses: it is stored
// sealed and never logged.
type Target struct {
	// Message is the provider's id of the email that is answered: EmailBison's reply, Smartlead's email statistics, Instantly's
	// email.
	Message string `json:"message"`
	// Mailbox is ours that it came to: EmailBison's id of it, Instantly's address.
	Mailbox string `json:"mailbox,omitempty"`
	// Lead is the provider's id of the lead; at Instantly its address.
	Lead string `json:"lead,omitempty"`
	// Campaign is Smartlead's.
	Campaign string `json:"campaign,omitempty"`
	// Reference is Smartlead's Message-ID of the email that is answered.
	Reference string `json:"reference,omitempty"`
	// To is who wrote it.
	To string `json:"to,omitempty"`
}

// Usable reports whether the provider can be asked to answer it, and be read back afterwards. What cannot be read back is
// not sent: an answer that got lost could never be settled.
func (t Target) Usable(provider string) bool {
	switch provider {
	case "emailbison":
		return pathID(t.Message) && digits(t.Mailbox) && (t.Lead == "" || digits(t.Lead)) && strings.Contains(t.To, "@")
	case "smartlead":
		return pathID(t.Message) && pathID(t.Campaign) && pathID(t.Lead)
	case "instantly":
		return pathID(t.Message) && strings.Contains(t.Mailbox, "@") && strings.Contains(t.Lead, "@")
	default:
		return false
	}
}

// pathID reports whether an id can stand in a path.
func pathID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
}

func digits(id string) bool {
	return id != "" && len(id) <= 18 && !strings.ContainsFunc(id, func(r rune) bool { return r < '0' || r > '9' })
}
