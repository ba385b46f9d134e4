package simulator

import (
	"net/http"
	"slices"
	"sort"
	"strings"
)

// contactFields are the properties a write may carry; any other is a 422.
var contactFields = [...]string{
	"firstName", "lastName", "name", "email", "gender", "phone", "address1", "city", "state", "postalCode",
	"website", "timezone", "dnd", "dndSettings", "inboundDndSettings", "tags", "customFields", "source",
	"dateOfBirth", "country", "companyName", "assignedTo",
}

func (c *storedContact) fullName() string {
	return strings.TrimSpace(c.FirstName + " " + c.LastName)
}

// contactObject is a contact as a read shows it. v3 spells the DND keys differently.
func (s *Simulator) contactObject(c *storedContact, version string) object {
	out := object{
		"id": c.ID, "locationId": c.location, "dnd": c.DND[AllChannels] == DNDActive, "type": "lead",
		"tags": slices.Concat([]string{}, c.Tags), "customFields": []any{}, "additionalEmails": slices.Concat([]string{}, c.AdditionalEmails),
		"dateAdded": stamp(c.DateAdded), "dateUpdated": stamp(c.updated), "country": "US",
	}
	optional := map[string]string{
		"firstName": c.FirstName, "lastName": c.LastName, "name": c.fullName(), "email": c.Email,
		"emailLowerCase": c.Email, "phone": c.Phone, "timezone": c.Timezone, "companyName": c.Company, "source": c.Source,
		"firstNameLowerCase": strings.ToLower(c.FirstName), "lastNameLowerCase": strings.ToLower(c.LastName),
	}
	for key, value := range optional {
		if value != "" {
			out[key] = value
		}
	}
	if settings := dndSettings(c, version == "v3"); len(settings) > 0 {
		out["dndSettings"] = settings
	}
	if c.InboundDND {
		out["inboundDndSettings"] = object{"all": object{"status": DNDActive, "message": "Updated by user"}}
	}
	return out
}

// dndSettings lists the channels that were ever set; the others are absent, which means allowed.
func dndSettings(c *storedContact, v3 bool) object {
	settings := object{}
	for channel, status := range c.DND {
		if channel == AllChannels {
			continue
		}
		setting := object{"status": status, "message": "Updated by user", "code": "103"}
		if note, ok := c.notes[channel]; ok {
			setting = object{"status": status, "message": note.message, "code": note.code}
		}
		if status == DNDPermanent {
			setting = object{"status": status, "message": "STOP_KEYWORD"}
		}
		if v3 {
			channel = strings.ToLower(channel[:1]) + channel[1:]
			if channel != "whatsApp" {
				channel = strings.ToLower(channel)
			}
		}
		settings[channel] = setting
	}
	return settings
}

// getContact is GET /contacts/{contactId}.
func (s *Simulator) getContact(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	contact, bad := s.contactForCall(c)
	if bad != nil {
		return *bad
	}
	return reply(http.StatusOK, object{"contact": s.contactObject(contact, c.header.Get("Version"))})
}

// contactForCall finds the contact of the path: 400 when unknown, 403 when it is
// another location's.
func (s *Simulator) contactForCall(c *call) (*storedContact, *answer) {
	contact := s.world.contacts[c.params["contactId"]]
	if contact != nil && contact.location != c.location {
		bad := refuseForeign()
		return nil, &bad
	}
	if contact == nil || contact.deleted {
		bad := refuse(http.StatusBadRequest, "Contact not found for id:"+c.params["contactId"])
		return nil, &bad
	}
	return contact, nil
}

// misspelt is how the dated API versions write "succeeded". It is in two parts so that
// no spelling checker mends it.
const misspelt = "succe" + "ded"

// updateContact is PUT /contacts/{contactId}. The dated versions misspell "succeeded".
func (s *Simulator) updateContact(c *call) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	if problems := append(unknownFields(body, nil), invalidDND(body)...); len(problems) > 0 {
		return invalid(problems...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	contact, bad := s.contactForCall(c)
	if bad != nil {
		return *bad
	}
	s.writeContact(contact, body, eventContactUpdate)
	key := misspelt
	if c.header.Get("Version") == "v3" {
		key = "succeeded"
	}
	return reply(http.StatusOK, object{key: true, "contact": s.contactObject(contact, c.header.Get("Version"))})
}

// unknownFields names each property a write must not carry.
func unknownFields(body object, also []string) []string {
	var problems []string
	for key := range body {
		if !slices.Contains(contactFields[:], key) && !slices.Contains(also, key) {
			problems = append(problems, "property "+key+" should not exist")
		}
	}
	sort.Strings(problems)
	return problems
}

// checkNewContact are the validators of create and upsert.
func checkNewContact(c *call, body object) *answer {
	problems := unknownFields(body, []string{"locationId", "createNewIfDuplicateAllowed"})
	location := text(body, "locationId")
	if location == "" {
		problems = append(problems, "locationId can't be undefined", "locationId must be a string")
	}
	if len(problems) > 0 {
		bad := invalid(problems...)
		return &bad
	}
	if location != c.location {
		bad := refuseForeign()
		return &bad
	}
	return nil
}

// upsertContact is POST /contacts/upsert. When e-mail and phone belong to two contacts
// it updates the first match and silently drops the other field.
func (s *Simulator) upsertContact(c *call) answer {
	body, bad := c.decode()
	if bad == nil {
		bad = checkNewContact(c, body)
	}
	if bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	contact, field := s.findContact(c.location, text(body, "email"), text(body, "phone"))
	status, event := http.StatusOK, eventContactUpdate
	if contact == nil {
		status, event = http.StatusCreated, eventContactCreate
		contact = s.putContact(c.location, Contact{ID: newID()})
	} else if other, _ := s.findContact(c.location, "", text(body, "phone")); field == "email" && other != nil && other != contact {
		delete(body, "phone")
	}
	s.writeContact(contact, body, event)
	c.contact = contact.ID
	return reply(status, object{"new": status == http.StatusCreated, "contact": s.contactObject(contact, c.header.Get("Version"))})
}

// findContact looks for an e-mail, then for a phone, and names the field that matched.
func (s *Simulator) findContact(location, email, phone string) (*storedContact, string) {
	return s.findAmong(s.sortedContacts(location), email, phone)
}

func (s *Simulator) findAmong(contacts []*storedContact, email, phone string) (*storedContact, string) {
	email, phone = strings.ToLower(strings.TrimSpace(email)), normalPhone(phone)
	var byPhone *storedContact
	for _, c := range contacts {
		if email != "" && (c.Email == email || slices.Contains(c.AdditionalEmails, email)) {
			return c, "email"
		}
		if phone != "" && c.Phone == phone && byPhone == nil {
			byPhone = c
		}
	}
	return byPhone, "phone"
}

// sortedContacts are a location's live contacts, oldest first.
func (s *Simulator) sortedContacts(location string) []*storedContact {
	var out []*storedContact
	for _, c := range s.world.contacts {
		if c.location == location && !c.deleted {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *storedContact) int {
		if order := a.DateAdded.Compare(b.DateAdded); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// writeContact applies a body's fields and emits the event, and ContactDndUpdate when
// a channel's state changed. Tags overwrite; permanent DND stays.
func (s *Simulator) writeContact(c *storedContact, body object, event string) {
	fields := map[string]*string{
		"firstName": &c.FirstName, "lastName": &c.LastName, "timezone": &c.Timezone,
		"companyName": &c.Company, "source": &c.Source,
	}
	for key, target := range fields {
		if value, ok := body[key].(string); ok {
			*target = value
		}
	}
	if name, ok := body["name"].(string); ok {
		c.FirstName, c.LastName, _ = strings.Cut(name, " ")
	}
	if email, ok := body["email"].(string); ok {
		c.Email = strings.ToLower(strings.TrimSpace(email))
	}
	if phone, ok := body["phone"].(string); ok {
		c.Phone = normalPhone(phone)
	}
	if tags, ok := body["tags"].([]any); ok {
		c.Tags = nil
		for _, tag := range tags {
			if name, ok := tag.(string); ok {
				c.Tags = append(c.Tags, name)
			}
		}
	}
	changed := writeDND(c, body)
	c.updated = s.now()
	s.emit(event, s.contactPayload(event, c))
	if changed {
		s.emit(eventDNDUpdate, s.contactPayload(eventDNDUpdate, c))
	}
}

// dndNote is what a call wrote beside a DND status.
type dndNote struct{ message, code string }

// invalidDND are the validators of dndSettings: each setting is an object whose status is one of three.
func invalidDND(body object) []string {
	raw, given := body["dndSettings"]
	if !given {
		return nil
	}
	settings, ok := raw.(object)
	if !ok {
		return []string{"dndSettings must be an object"}
	}
	var problems []string
	for channel, raw := range settings {
		setting, _ := raw.(object)
		if !slices.Contains([]string{DNDActive, DNDInactive, DNDPermanent}, text(setting, "status")) {
			problems = append(problems, "dndSettings."+channel+".status must be one of the following values: active, inactive, permanent")
		}
	}
	sort.Strings(problems)
	return problems
}

func writeDND(c *storedContact, body object) bool {
	changed := false
	set := func(channel, status string, note dndNote) {
		old := c.DND[channel]
		if old == DNDPermanent {
			return
		}
		c.notes[channel] = note
		if old != status {
			c.DND[channel] = status
			changed = true
		}
	}
	if all, ok := body["dnd"].(bool); ok {
		set(AllChannels, map[bool]string{true: DNDActive, false: DNDInactive}[all], dndNote{})
	}
	settings, _ := body["dndSettings"].(object)
	for channel, raw := range settings {
		if setting, ok := raw.(object); ok && text(setting, "status") != "" {
			set(dndKey(channel), text(setting, "status"), dndNote{text(setting, "message"), text(setting, "code")})
		}
	}
	return changed
}
