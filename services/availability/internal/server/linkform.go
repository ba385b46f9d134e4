package server

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/redact"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

const maxToken = 4096

var (
	kinds = map[availabilityv1.CalendarProvider]calendar.Kind{
		availabilityv1.CalendarProvider_CALENDAR_PROVIDER_GHL:       calendar.GHL,
		availabilityv1.CalendarProvider_CALENDAR_PROVIDER_CALENDLY:  calendar.Calendly,
		availabilityv1.CalendarProvider_CALENDAR_PROVIDER_HUBSPOT:   calendar.HubSpot,
		availabilityv1.CalendarProvider_CALENDAR_PROVIDER_ICALENDAR: calendar.ICalendar,
	}
	linkPaths = []string{"display_name", "external_id", "public_url", "source_url", "api_token", "working_hours"}
)

// linkForm is the part of a link that callers write.
type linkForm struct {
	in  *availabilityv1.CalendarLink
	bad problems
	// unsupported is the host of an address that is of no supported provider.
	unsupported string
}

// fill puts what the caller wrote at the paths into a link, and checks the whole: its parts must fit together.
func (f *linkForm) fill(link *store.Link, paths map[string]bool) {
	if paths["display_name"] {
		f.bad.text("calendar_link.display_name", f.in.GetDisplayName(), maxName)
		link.DisplayName = f.in.GetDisplayName()
	}
	if paths["public_url"] {
		f.bad.publicURL("calendar_link.public_url", f.in.GetPublicUrl())
		link.PublicURL = f.in.GetPublicUrl()
	}
	if paths["external_id"] {
		link.ExternalID = f.in.GetExternalId()
	}
	if paths["source_url"] {
		link.SourceURL = redact.Secret(f.in.GetSourceUrl())
		if !paths["external_id"] {
			// Another page is another calendar: its id comes from the page.
			link.ExternalID = ""
		}
	}
	if paths["api_token"] {
		f.token(f.in.GetApiToken())
		link.Token = redact.Secret(f.in.GetApiToken())
	}
	if paths["working_hours"] {
		link.Hours = f.hours(f.in.GetWorkingHours())
	}
	f.source(link)
	f.fits(*link)
}

func (f *linkForm) err() error {
	if err := f.bad.err(); err != nil {
		return err
	}
	if f.unsupported != "" {
		return errUnsupported(f.unsupported)
	}
	return nil
}

func all(paths []string) map[string]bool {
	out := make(map[string]bool, len(paths))
	for _, path := range paths {
		out[path] = true
	}
	return out
}

// source reads the address that slots are read from: source_url, or else public_url where that is a provider's page.
func (f *linkForm) source(link *store.Link) {
	text, field := link.SourceURL.Reveal(), "calendar_link.source_url"
	if text == "" {
		text, field = link.PublicURL, "calendar_link.public_url"
	}
	address, err := calendar.Parse(text)
	unsupported, foreign := errors.AsType[*calendar.UnsupportedError](err)
	switch {
	case err == nil && link.Provider == "":
		link.Provider = address.Kind
	case err == nil && address.Kind != link.Provider && (link.SourceURL != "" || address.Kind != calendar.ICalendar):
		// Times of one calendar behind the page of another would be promised and not be there.
		f.unsupported = hostOf(address.URL)
		return
	case foreign && (link.Provider == "" || (link.SourceURL != "" && link.Provider != calendar.ICalendar) || otherTool(unsupported.Host)):
		f.unsupported = unsupported.Host
		return
	case foreign && link.Provider == calendar.ICalendar && link.SourceURL != "":
		// A feed may have any https address.
		link.SourceURL = redact.Secret(unsupported.URL)
		return
	case err != nil && !foreign && link.SourceURL != "":
		f.bad.add(field, "%s", strings.TrimPrefix(err.Error(), calendar.ErrAddress.Error()+": "))
		return
	}
	if link.SourceURL != "" && err == nil {
		link.SourceURL = redact.Secret(address.URL)
	}
	if err == nil && address.Kind == link.Provider && link.ExternalID == "" {
		link.ExternalID = address.ID
		if address.Hublet != "" {
			link.ExternalID = address.Hublet + ":" + address.ID
		}
		if link.SourceURL == "" {
			link.SourceURL = redact.Secret(address.URL)
		}
	}
}

// otherTool reports whether a host is that of a booking tool whose times no supported calendar would have.
func otherTool(host string) bool {
	return slices.ContainsFunc([]string{"cal.com", "savvycal.com", "acuityscheduling.com", "tidycal.com", "youcanbook.me"},
		func(other string) bool { return host == other || strings.HasSuffix(host, "."+other) })
}

func hostOf(address string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(address, "https://"), "/")
	return host
}

// fits checks that the link has what its kind needs and nothing that it does not use.
func (f *linkForm) fits(link store.Link) {
	if f.unsupported != "" || link.Provider == "" {
		return
	}
	id, hours := link.ExternalID, link.Hours.Set()
	switch link.Provider {
	case calendar.GHL:
		if (id == "" && link.SourceURL == "") || (id != "" && !alphanumeric(id, 15, 64)) {
			f.bad.add("calendar_link.external_id", "must be 15 to 64 letters and digits, or source_url must be a booking page")
		}
	case calendar.Calendly:
		if uuid.Validate(id) != nil && !isAddress("https://calendly.com/"+id, calendar.Calendly) {
			f.bad.add("calendar_link.external_id", "must be the UUID of an event type or profile/event; or give source_url")
		}
	case calendar.HubSpot:
		// "eu1:slug" in the EU, "slug" elsewhere.
		if !isAddress("https://meetings.hubspot.com/"+id[strings.Index(id, ":")+1:], calendar.HubSpot) {
			f.bad.add("calendar_link.external_id", "must be the slug of a meeting link; or give source_url")
		}
	case calendar.ICalendar:
		if id != "" {
			f.bad.add("calendar_link.external_id", "is not used for iCalendar; give source_url")
		}
		if link.SourceURL == "" {
			f.bad.add("calendar_link.source_url", "is required: the https address of the feed")
		}
		if !hours {
			f.bad.add("calendar_link.working_hours", "is required for iCalendar")
		}
	}
	if hours && link.Provider != calendar.ICalendar {
		f.bad.add("calendar_link.working_hours", "is used for iCalendar only; other calendars have their own")
	}
	if link.Token != "" && link.Provider != calendar.Calendly && link.Provider != calendar.HubSpot {
		f.bad.add("calendar_link.api_token", "is used for Calendly and HubSpot only")
	}
}

func isAddress(text string, kind calendar.Kind) bool {
	address, err := calendar.Parse(text)
	return err == nil && address.Kind == kind
}

func alphanumeric(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func (f *linkForm) token(text string) {
	if len(text) > maxToken || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		f.bad.add("calendar_link.api_token", "must be up to %d visible ASCII characters", maxToken)
	}
}

func (f *linkForm) hours(in *availabilityv1.WorkingHours) slots.Hours {
	const field = "calendar_link.working_hours."
	if in == nil {
		return slots.Hours{}
	}
	out := slots.Hours{Zone: in.GetTimeZone()}
	if _, err := slots.Zone(out.Zone); err != nil {
		f.bad.add(field+"time_zone", "must be an IANA zone such as America/New_York")
	}
	days := in.GetDays()
	if len(days) == 0 {
		days = []int32{1, 2, 3, 4, 5}
	}
	for _, day := range days {
		weekday := time.Weekday(day % 7)
		if day < 1 || day > 7 || slices.Contains(out.Days, weekday) {
			f.bad.add(field+"days", "must be different numbers from 1 (Monday) to 7 (Sunday)")
			break
		}
		out.Days = append(out.Days, weekday)
	}
	var okStart, okEnd bool
	out.Start, okStart = clockMinutes(cmp.Or(in.GetStart(), "09:00"))
	out.End, okEnd = clockMinutes(cmp.Or(in.GetEnd(), "17:00"))
	if !okStart {
		f.bad.add(field+"start", "must be HH:MM")
	}
	if !okEnd || out.End <= out.Start {
		f.bad.add(field+"end", "must be HH:MM, after start")
	}
	if in.GetStep() != nil {
		out.Step = in.GetStep().AsDuration()
		if in.GetStep().CheckValid() != nil || out.Step < 5*time.Minute || out.Step > 8*time.Hour || out.Step%time.Minute != 0 {
			f.bad.add(field+"step", "must be 5 minutes to 8 hours, in whole minutes")
		}
	}
	return out
}

// clockMinutes reads "HH:MM" up to "24:00".
func clockMinutes(text string) (int, bool) {
	hours, minutes, ok := strings.Cut(text, ":")
	h, errH := strconv.Atoi(hours)
	m, errM := strconv.Atoi(minutes)
	good := ok && errH == nil && errM == nil && len(hours) == 2 && len(minutes) == 2 && h >= 0 && m >= 0 && m < 60 && h*60+m <= 24*60
	return h*60 + m, good
}

func hoursProto(h slots.Hours) *availabilityv1.WorkingHours {
	if !h.Set() {
		return nil
	}
	clock := func(minutes int) string {
		return time.Date(1, 1, 1, 0, minutes%(24*60), 0, 0, time.UTC).Format("15:04")
	}
	out := &availabilityv1.WorkingHours{TimeZone: h.Zone, Start: clock(h.Start), End: clock(h.End)}
	if h.End == 24*60 {
		out.End = "24:00"
	}
	for _, day := range h.Days {
		out.Days = append(out.Days, int32(day+6)%7+1)
	}
	if h.Step > 0 {
		out.Step = durationpb.New(h.Step)
	}
	return out
}
