package template

// Token is the canonical name of a template variable.
type Token string

// The variables. Aliases are written in many imported templates and mean the same.
const (
	FirstName       Token = "firstName"
	LastName        Token = "lastName"
	Email           Token = "email"
	Phone           Token = "phone"
	LeadCompanyName Token = "leadCompanyName"
	SenderName      Token = "senderName"
	Signature       Token = "signature"
	CompanyName     Token = "companyName"
	Result          Token = "result"
	Availability    Token = "availability"
	CalendarLink    Token = "calendarLink"
	SlotOne         Token = "time 1 day 1"
	SlotTwo         Token = "time 2 day 2"
	QuestionOne     Token = "qualificationQuestion1"
	QuestionTwo     Token = "qualificationQuestion2"
)

// NeedsCalendar reports whether the value comes from the workspace's calendar.
func (t Token) NeedsCalendar() bool { return t == CalendarLink || t.NeedsSlots() }

// NeedsSlots reports whether the value is a bookable time.
func (t Token) NeedsSlots() bool { return t == Availability || t == SlotOne || t == SlotTwo }

// OfWorkspace reports whether the value comes from the workspace's settings.
func (t Token) OfWorkspace() bool {
	switch t {
	case SenderName, Signature, CompanyName, Result, QuestionOne, QuestionTwo:
		return true
	}
	return false
}

// aliases maps every way to write a token, after `\_` became "_", to its canonical name.
func aliases() map[string]Token {
	return map[string]Token{
		"{firstName}": FirstName, "{FIRST_NAME}": FirstName, "{{contact.first_name}}": FirstName,
		"{lastName}": LastName, "{email}": Email, "{phone}": Phone, "{leadCompanyName}": LeadCompanyName,
		"{senderName}": SenderName, "{name}": SenderName, "{signature}": Signature,
		"{companyName}": CompanyName, "{company}": CompanyName,
		"{result}": Result, "{achieving result}": Result,
		"{availability}": Availability,
		"{calendarLink}": CalendarLink, "{link}": CalendarLink,
		"{time 1 day 1}": SlotOne, "{x day x time}": SlotOne,
		"{time 2 day 2}": SlotTwo, "{y day y time}": SlotTwo,
		"{qualificationQuestion1}": QuestionOne, "{qualification question 1}": QuestionOne,
		"{qualificationQuestion2}": QuestionTwo, "{qualification question 2}": QuestionTwo,
	}
}

// hint tells people what to fill in.
func (t Token) hint() string {
	hints := map[Token]string{
		FirstName: "the lead has no first name", LastName: "the lead has no last name",
		Email: "the lead has no email address", Phone: "the lead has no phone number",
		LeadCompanyName: "the lead has no company name",
		SenderName:      "the settings have no sender name", Signature: "the settings have no sender name",
		CompanyName: "the settings have no company name", Result: "the settings have no target result",
		Availability: "no bookable time is known", SlotOne: "no first bookable time is known",
		SlotTwo: "no second bookable time is known", CalendarLink: "the workspace has no default calendar link",
		QuestionOne: "qualification question 1 is not set", QuestionTwo: "qualification question 2 is not set",
	}
	return hints[t]
}

// Spellings lists every way to write a token, in no order.
func Spellings() []string {
	var out []string
	for spelling := range aliases() {
		out = append(out, spelling)
	}
	return out
}
