package calendar

import (
	"path"
	"strings"
)

// Same reports whether the provider's own name of a calendar, as its appointments carry it, means the calendar of a link. The link
// is known by its id, and by what the provider wanted remembered of it: a Calendly link says "profile/event" where an
// appointment says the URI of the event type.
func (k Kind) Same(own, id, remembered string) bool {
	if k != Calendly {
		return own == id
	}
	uuid := path.Base(own)
	return own == id || (len(uuid) >= minUUID && (path.Base(id) == uuid || strings.Contains(remembered, uuid)))
}

// minUUID keeps a short last segment from being found by chance.
const minUUID = 16
