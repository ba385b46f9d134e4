package simulator

import "net/http"

const createPath = "/contacts/"

// DuplicateSearch is a list of contacts, for Fault.Variant of LaggingList: the index that GET /contacts/search/duplicate reads.
const DuplicateSearch = "duplicate_search"

// Creates returns the matching POSTs that ask for a contact, made or not: Accepted tells, and MessageID is then the contact.
func (s *Simulator) Creates(f Filter) []Entry {
	return s.ledger.pick(func(e Entry) bool {
		return e.Method == http.MethodPost && (e.Path == createPath || e.Path+"/" == createPath) && f.matches(e)
	})
}

// duplicateContacts are the words of a location whose setting allowDuplicateContact is off.
const duplicateContacts = "This location does not allow duplicated contacts."

// createContact is POST /contacts/. Unless the location allows duplicates, a known e-mail or phone is refused and its contact
// named. A fault LaggingList hides the new contact from searches, not from reads by id nor from this check.
func (s *Simulator) createContact(c *call) answer {
	body, bad := c.decode()
	if bad == nil {
		bad = checkNewContact(c, body)
	}
	if bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if existing, field := s.findContact(c.location, text(body, "email"), text(body, "phone")); existing != nil &&
		!s.world.locations[c.location].AllowDuplicates {
		return refusal{
			status: http.StatusBadRequest, message: duplicateContacts,
			extra: object{"meta": object{"contactId": existing.ID, "matchingField": field}},
		}.answer()
	}
	contact := s.putContact(c.location, Contact{ID: newID()})
	if c.fault != nil && c.fault.Kind == LaggingList {
		contact.searchable = s.now().Add(c.fault.Delay)
	}
	s.writeContact(contact, body, eventContactCreate)
	c.contact, c.accepted, c.messageID = contact.ID, true, contact.ID
	return reply(http.StatusCreated, object{"contact": s.contactObject(contact, c.header.Get("Version"))})
}
