package simulator

// ghlRoutes lists the endpoints, the more specific path first.
func (s *Simulator) ghlRoutes() []route {
	token := newRoute("POST /oauth/token", s.oauthToken)
	minted := newRoute("POST /oauth/locationToken", s.mintToken)
	token.open, minted.open = true, true
	return []route{
		token,
		minted,
		newRoute("POST /conversations/messages", s.send),
		newRoute("GET /conversations/search", s.searchConversations),
		newRoute("GET /conversations/messages/export", s.exportMessages),
		newRoute("GET /conversations/messages/email/{id}", s.emailMessage),
		newRoute("GET /conversations/messages/{id}", s.message),
		newRoute("GET /conversations/{id}/messages", s.conversationMessages),
		newRoute("GET /conversations/{id}", s.conversation),
		newRoute("POST /contacts/upsert", s.upsertContact),
		newRoute("POST /contacts/search", s.searchContacts),
		newRoute("GET /contacts/search/duplicate", s.duplicateContact),
		newRoute("POST /contacts/", s.createContact),
		newRoute("GET /contacts/{contactId}", s.getContact),
		newRoute("PUT /contacts/{contactId}", s.updateContact),
		newRoute("GET /calendars/{id}/free-slots", s.freeSlots),
		newRoute("POST /calendars/events/appointments", s.bookAppointment),
		newRoute("GET /contacts/{contactId}/appointments", s.contactAppointments),
		newRoute("GET /calendars/events/appointments/{id}", s.getAppointment),
		newRoute("GET /calendars/events", s.calendarEvents),
		newRoute("GET /calendars/{id}", s.getCalendar),
		newRoute("GET /calendars/", s.listCalendars),
		newRoute("GET /locations/{id}", s.getLocation),
	}
}
