package simulator

import "time"

// Channel names, as HighLevel spells them in a send and in dndSettings.
const (
	SMS      = "SMS"
	Email    = "Email"
	WhatsApp = "WhatsApp"
	Call     = "Call"
	FB       = "FB"
	IG       = "IG"
	GMB      = "GMB"
	RCS      = "RCS"
	// AllChannels stands for the contact-wide dnd flag in SetDND.
	AllChannels = "all"
)

// DND states. Active means do not disturb: the channel is blocked. Permanent is what a
// texted STOP leaves; the API cannot clear it.
const (
	DNDActive    = "active"
	DNDInactive  = "inactive"
	DNDPermanent = "permanent"
)

// Directions of a message.
const (
	Inbound  = "inbound"
	Outbound = "outbound"
)

// Location is a HighLevel sub-account.
type Location struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Timezone string `json:"timezone"` // IANA; default UTC
	// Token is a private integration token: it opens this location and never expires.
	Token string `json:"token"`
	// RefreshToken, when set, may be spent once at POST /oauth/token.
	RefreshToken string `json:"refreshToken,omitempty"`
	CompanyID    string `json:"companyId,omitempty"`
	// AllowDuplicates lets POST /contacts/ store a second contact with a known e-mail or phone.
	AllowDuplicates bool `json:"allowDuplicates,omitempty"`
	Inactive        bool `json:"inactive,omitempty"`
}

// Contact is a person in a location. Its fields decide which sends are refused.
type Contact struct {
	ID        string `json:"id"` // letters and digits, 15 to 64; made when empty
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
	Email     string `json:"email,omitempty"` // stored lower-cased; "" refuses e-mail
	// AdditionalEmails are read-only by the API, as with the real service.
	AdditionalEmails []string `json:"additionalEmails,omitempty"`
	Phone            string   `json:"phone,omitempty"` // stored as +digits; "" refuses SMS; +0… and +999… have no valid country calling code
	Timezone         string   `json:"timezone,omitempty"`
	Company          string   `json:"companyName,omitempty"`
	Source           string   `json:"source,omitempty"`
	Tags             []string `json:"tags,omitempty"`
	// DND maps a channel to active, inactive or permanent; the key "all" is the
	// contact-wide flag.
	DND map[string]string `json:"dnd,omitempty"`
	// InboundDND keeps the contact's messages from the location (inboundDndSettings).
	InboundDND bool `json:"inboundDnd,omitempty"`
	// UnsubscribedSMS and UnsubscribedEmail refuse with …_UNSUBSCRIBED_….
	UnsubscribedSMS   bool `json:"unsubscribedSms,omitempty"`
	UnsubscribedEmail bool `json:"unsubscribedEmail,omitempty"`
	// EmailInvalid refuses e-mail although the address looks right (it bounced).
	EmailInvalid bool `json:"emailInvalid,omitempty"`
	// OptedOut refuses every channel with 403.
	OptedOut  bool      `json:"optedOut,omitempty"`
	DateAdded time.Time `json:"dateAdded,omitzero"` // default: now
}

// Interval is a span of time, start included, end excluded.
type Interval struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Calendar is a bookable calendar of a location. Zero fields take the defaults named.
type Calendar struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Timezone     string         `json:"timezone"`     // IANA; default the location's
	SlotDuration time.Duration  `json:"slotDuration"` // default 30 min
	SlotInterval time.Duration  `json:"slotInterval"` // between starts; default SlotDuration
	Days         []time.Weekday `json:"days"`         // default Monday to Friday
	Open         time.Duration  `json:"open"`         // since midnight; default 9 h
	Close        time.Duration  `json:"close"`        // since midnight; default 17 h
	MinNotice    time.Duration  `json:"minNotice"`    // first slot is this long after now
	Busy         []Interval     `json:"busy,omitempty"`
	Inactive     bool           `json:"inactive,omitempty"`
	// Members are the users who attend; a time is free while one of them is. None means one who is not named.
	Members []string `json:"members,omitempty"`
}

// Message is one message the provider holds.
type Message struct {
	ID             string
	EmailMessageID string // e-mail only
	ConversationID string
	Location       string
	Contact        string
	Channel        string // SMS, Email, …
	Direction      string // inbound or outbound
	Body           string // text of an SMS, HTML of an e-mail
	Subject        string
	Source         string // api, app, workflow, …
	Status         string // set by SetMessageStatus; else it follows the clock
	DateAdded      time.Time
	// VisibleAt hides the message from every list and read before that moment.
	VisibleAt time.Time
	// HiddenIn narrows that to one list: ExportList or ConversationList.
	HiddenIn string
}

// HistoryMessage is a message that was there before Relance came.
type HistoryMessage struct {
	Channel   string // default SMS
	Direction string // default outbound
	Body      string
	Subject   string
	Source    string // default app
	At        time.Time
}

// conversation holds the messages of one contact, oldest first.
type conversation struct {
	id, location, contact string
	messages              []*Message
	unread                int
}

// stampLayout is how HighLevel writes a time, in UTC.
const stampLayout = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }
