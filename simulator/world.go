package simulator

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Errors of the methods that change the world.
var (
	ErrNoLocation = errors.New("simulator: no such location")
	ErrNoContact  = errors.New("simulator: no such contact")
	ErrNoMessage  = errors.New("simulator: no such message")
	ErrNoCalendar = errors.New("simulator: no such calendar")
	// ErrClosed ends what was still waiting when the simulator or its context ended.
	ErrClosed = errors.New("simulator: closed")
	ErrBadID  = errors.New("simulator: an id is 15 to 64 letters and digits")
)

var validID = regexp.MustCompile(`^[A-Za-z0-9]{15,64}$`)

// world is everything the provider knows. Guarded by Simulator.mu.
type world struct {
	locations     map[string]*Location
	contacts      map[string]*storedContact // by contact id; ids are global
	calendars     map[string]*storedCalendar
	conversations map[string]*conversation // by conversation id
	byContact     map[string]*conversation
	messages      map[string]*Message // by message id and by e-mail message id
	tokens        map[string]grant    // access tokens
	refresh       map[string]*rotation
	codes         map[string]rotation // what authorization codes give
	// uninstalled are the locations that the app was removed from.
	uninstalled map[string]bool
	hook        hook
	mail        mailWorld
}

type storedContact struct {
	Contact
	// notes are message and code of DND settings that a call wrote, by channel.
	notes    map[string]dndNote
	location string
	updated  time.Time
	deleted  bool
	// searchable hides it from searches until then.
	searchable time.Time
}

type storedCalendar struct {
	Calendar
	location string
	booked   []*booking
}

func newWorld() world {
	return world{
		locations:     map[string]*Location{},
		contacts:      map[string]*storedContact{},
		calendars:     map[string]*storedCalendar{},
		conversations: map[string]*conversation{},
		byContact:     map[string]*conversation{},
		messages:      map[string]*Message{},
		tokens:        map[string]grant{},
		refresh:       map[string]*rotation{},
		codes:         map[string]rotation{}, uninstalled: map[string]bool{},
		mail: mailWorld{accounts: map[MailSender]*mailAccount{}},
	}
}

// AddLocation adds a location, or replaces the one with the same id while keeping its contacts.
func (s *Simulator) AddLocation(l Location) error {
	if !validID.MatchString(l.ID) {
		return fmt.Errorf("location %q: %w", l.ID, ErrBadID)
	}
	if l.Timezone == "" {
		l.Timezone = "UTC"
	}
	if _, err := time.LoadLocation(l.Timezone); err != nil {
		return fmt.Errorf("simulator: location %s: %w", l.ID, err)
	}
	if l.CompanyID == "" {
		l.CompanyID = "company" + l.ID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.locations[l.ID] = &l
	if l.Token != "" {
		s.world.tokens[l.Token] = grant{location: l.ID}
	}
	if l.RefreshToken != "" {
		s.world.refresh[l.RefreshToken] = &rotation{location: l.ID}
	}
	return nil
}

// SetLocationActive pauses a location or brings it back. A paused one answers 400
// "Location is not active", to token refreshes too.
func (s *Simulator) SetLocationActive(location string, active bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.world.locations[location]
	if l == nil {
		return ErrNoLocation
	}
	l.Inactive = !active
	return nil
}

// AddContact adds a contact, or replaces the one with the same id. It returns the
// contact as stored: id made when empty, e-mail lower-cased, phone as +digits.
func (s *Simulator) AddContact(location string, c Contact) (Contact, error) {
	if c.ID == "" {
		c.ID = newID()
	}
	if !validID.MatchString(c.ID) {
		return Contact{}, fmt.Errorf("contact %q: %w", c.ID, ErrBadID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world.locations[location] == nil {
		return Contact{}, ErrNoLocation
	}
	if old := s.world.contacts[c.ID]; old != nil && old.location != location {
		return Contact{}, fmt.Errorf("simulator: contact %s belongs to another location", c.ID)
	}
	return s.putContact(location, c).clone(), nil
}

// putContact stores a contact; the caller holds the lock.
func (s *Simulator) putContact(location string, c Contact) *storedContact {
	c = c.clone()
	c.Email = strings.ToLower(strings.TrimSpace(c.Email))
	c.Phone = normalPhone(c.Phone)
	for i, email := range c.AdditionalEmails {
		c.AdditionalEmails[i] = strings.ToLower(strings.TrimSpace(email))
	}
	dnd := make(map[string]string, len(c.DND))
	for channel, status := range c.DND {
		dnd[dndKey(channel)] = status
	}
	c.DND = dnd
	if c.DateAdded.IsZero() {
		c.DateAdded = s.now()
	}
	stored := &storedContact{Contact: c, location: location, updated: s.now(), notes: map[string]dndNote{}}
	s.world.contacts[c.ID] = stored
	return stored
}

// Contact returns a contact that was not deleted.
func (s *Simulator) Contact(location, contact string) (Contact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(location, contact)
	if c == nil {
		return Contact{}, ErrNoContact
	}
	return c.clone(), nil
}

// DeleteContact removes a contact: sends to it answer "Contact not found".
func (s *Simulator) DeleteContact(location, contact string) error {
	return s.changeContact(location, contact, eventContactDelete, func(c *storedContact) { c.deleted = true })
}

// SetDND sets do-not-disturb of a channel (or AllChannels) to active, inactive or permanent.
func (s *Simulator) SetDND(location, contact, channel, status string) error {
	if !slices.Contains([]string{DNDActive, DNDInactive, DNDPermanent}, status) {
		return fmt.Errorf("simulator: unknown dnd status %q", status)
	}
	return s.changeContact(location, contact, eventDNDUpdate, func(c *storedContact) {
		c.DND[dndKey(channel)] = status
		delete(c.notes, dndKey(channel))
	})
}

// Unsubscribe makes a contact refuse SMS or Email for good, as a texted STOP or a click
// on the unsubscribe link does.
func (s *Simulator) Unsubscribe(location, contact, channel string) error {
	return s.changeContact(location, contact, eventDNDUpdate, func(c *storedContact) {
		if dndKey(channel) == Email {
			c.UnsubscribedEmail = true
			c.DND[Email] = DNDActive
			return
		}
		c.UnsubscribedSMS = true
		c.DND[SMS] = DNDPermanent
	})
}

// changeContact applies one change and emits the event it causes.
func (s *Simulator) changeContact(location, contact, event string, change func(*storedContact)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(location, contact)
	if c == nil {
		return ErrNoContact
	}
	change(c)
	c.updated = s.now()
	s.emit(event, s.contactPayload(event, c))
	return nil
}

// contact looks a live contact up; the caller holds the lock.
func (s *Simulator) contact(location, id string) *storedContact {
	c := s.world.contacts[id]
	if c == nil || c.deleted || c.location != location {
		return nil
	}
	return c
}

// AddCalendar adds a calendar, or replaces the one with the same id. Bookings made
// before stay.
func (s *Simulator) AddCalendar(location string, c Calendar) error {
	if !validID.MatchString(c.ID) {
		return fmt.Errorf("calendar %q: %w", c.ID, ErrBadID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.world.locations[location]
	if l == nil {
		return ErrNoLocation
	}
	c = c.withDefaults(l)
	if _, err := time.LoadLocation(c.Timezone); err != nil {
		return fmt.Errorf("simulator: calendar %s: %w", c.ID, err)
	}
	stored := &storedCalendar{Calendar: c, location: location}
	if old := s.world.calendars[c.ID]; old != nil {
		stored.booked = old.booked
	}
	s.world.calendars[c.ID] = stored
	return nil
}

func (c Calendar) withDefaults(l *Location) Calendar {
	if c.Timezone == "" {
		c.Timezone = l.Timezone
	}
	if c.SlotDuration <= 0 {
		c.SlotDuration = 30 * time.Minute
	}
	if c.SlotInterval <= 0 {
		c.SlotInterval = c.SlotDuration
	}
	if len(c.Days) == 0 {
		c.Days = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	}
	if c.Open == 0 && c.Close == 0 {
		c.Open, c.Close = 9*time.Hour, 17*time.Hour
	}
	if c.Name == "" {
		c.Name = "Calendar " + c.ID
	}
	return c
}

func (c Contact) clone() Contact {
	c.Tags = slices.Clone(c.Tags)
	c.DND, c.AdditionalEmails = maps.Clone(c.DND), slices.Clone(c.AdditionalEmails)
	return c
}

// normalPhone turns "+1 (202) 555-0123" into "+12025550123"; anything without digits is "".
func normalPhone(raw string) string {
	var digits strings.Builder
	for _, r := range raw {
		if r >= '0' && r <= '9' {
			digits.WriteRune(r)
		}
	}
	if digits.Len() == 0 {
		return ""
	}
	return "+" + digits.String()
}

// dndKey is the spelling of a channel in dndSettings of the dated API versions.
func dndKey(channel string) string {
	for _, known := range dndKeys {
		if strings.EqualFold(known, channel) {
			return known
		}
	}
	return channel
}

var dndKeys = [...]string{Call, Email, SMS, WhatsApp, GMB, FB, RCS, AllChannels}
