// Package calendar tells which kind of calendar an address belongs to and what identifies the calendar there. It is
// pure: it parses, and never looks anything up.
package calendar

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Kind is a kind of calendar; the values are stored.
type Kind string

// The kinds.
const (
	GHL       Kind = "ghl"
	Calendly  Kind = "calendly"
	HubSpot   Kind = "hubspot"
	ICalendar Kind = "icalendar"
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{GHL, Calendly, HubSpot, ICalendar} }

// maxAddress bounds an address, in bytes.
const maxAddress = 2048

// Address is a parsed calendar address.
type Address struct {
	// Kind is told by the host, or by the path of an iCalendar feed (".ics" or webcal://).
	Kind Kind
	// URL is the whole address, normalised: https, lower-case host in ASCII, no fragment.
	URL string
	// ID identifies the calendar at its provider: GHL the calendar's id, or "" when only its page tells it; Calendly
	// "profile/event", "profile", or "d/slug"; HubSpot the slug, which may hold a slash; iCalendar nothing.
	ID string
	// Hublet is the HubSpot data centre in the host, such as "eu1"; "" elsewhere.
	Hublet string
}

// ErrAddress says that a text is no address that can be used. The wrapped text says why, without quoting it.
var ErrAddress = errors.New("not a calendar address")

// UnsupportedError says that the address is well formed and of no supported provider.
type UnsupportedError struct {
	// Host is whose address it is, URL the whole of it, normalised. That of a feed is a secret.
	Host, URL string
}

// Error names the host.
func (e *UnsupportedError) Error() string { return "no supported calendar at " + e.Host }

// Parse reads an address as people paste it: surrounding space, no scheme, http and webcal are mended. The kind comes
// from the parsed host, never from a part of the text. Errors: ErrAddress, *UnsupportedError.
func Parse(text string) (Address, error) {
	u, feed, err := normalise(text)
	if err != nil {
		return Address{}, err
	}
	address := Address{URL: u.String()}
	segments := split(u)
	host := u.Hostname()
	switch {
	case feed || strings.HasSuffix(strings.ToLower(u.Path), ".ics"):
		address.Kind = ICalendar
	case host == "calendly.com" || host == "www.calendly.com":
		address.Kind = Calendly
		address.ID, err = calendlyID(segments)
	case under(host, "hubspot.com"):
		address.Kind = HubSpot
		address.ID, address.Hublet, err = hubspotID(host, segments)
	case slices.ContainsFunc(GHLHosts(), func(known string) bool { return under(host, known) }):
		address.Kind = GHL
		address.ID = ghlID(segments)
	default:
		err = &UnsupportedError{Host: host}
	}
	if unsupported, ok := errors.AsType[*UnsupportedError](err); ok {
		unsupported.URL = address.URL
	}
	if err != nil {
		return Address{}, err
	}
	return address, nil
}

// GHLHosts serve booking pages of GoHighLevel, with all that is below them.
func GHLHosts() []string { return []string{"leadconnectorhq.com", "msgsndr.com", "gohighlevel.com"} }

func normalise(text string) (u *url.URL, feed bool, err error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxAddress {
		return nil, false, fmt.Errorf("%w: 1 to %d bytes are accepted", ErrAddress, maxAddress)
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err = url.Parse(text)
	if err != nil {
		return nil, false, fmt.Errorf("%w: it does not parse as a URL", ErrAddress)
	}
	switch u.Scheme {
	case "https", "http":
	case "webcal":
		feed = true
	default:
		return nil, false, fmt.Errorf("%w: the scheme must be https", ErrAddress)
	}
	if u.User != nil || u.Opaque != "" {
		return nil, false, fmt.Errorf("%w: it must not carry a user name", ErrAddress)
	}
	if port := u.Port(); (port != "" && port != "443") || strings.HasSuffix(u.Host, ":") {
		return nil, false, fmt.Errorf("%w: the port must be 443", ErrAddress)
	}
	host, err := hostname(u.Hostname())
	if err != nil {
		return nil, false, err
	}
	u.Scheme, u.Host, u.Fragment, u.RawFragment = "https", host, "", ""
	return u, feed, nil
}

var dotted = regexp.MustCompile(`^[0-9a-fx.]+$`)

// hostname admits public host names only: numbers in any notation are addresses of machines, not of calendars.
func hostname(host string) (string, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || !strings.Contains(name, ".") {
		return "", fmt.Errorf("%w: the host must be a public host name", ErrAddress)
	}
	name = strings.ToLower(name)
	last := name[strings.LastIndexByte(name, '.')+1:]
	numeric := dotted.MatchString(name) && strings.ContainsAny(last, "0123456789")
	if _, err := netip.ParseAddr(name); err == nil || numeric {
		return "", fmt.Errorf("%w: the host must be a name, not an IP address", ErrAddress)
	}
	return name, nil
}

// under reports whether host is domain or below it.
func under(host, domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }

// split gives the path's segments, decoded, without empty ones.
func split(u *url.URL) []string {
	return slices.DeleteFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "" })
}

var slug = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.~-]{0,199}$`)

func slugs(segments []string) bool {
	return !slices.ContainsFunc(segments, func(s string) bool { return !slug.MatchString(s) || strings.Contains(s, "..") })
}

// calendlyID accepts /profile, /profile/event and single-use links /d/slug[/event].
func calendlyID(segments []string) (string, error) {
	const form = "a Calendly address is calendly.com/<profile>/<event>"
	if len(segments) == 0 || !slugs(segments) || segments[0] == "app" || segments[0] == "event_types" {
		return "", fmt.Errorf("%w: %s", ErrAddress, form)
	}
	if segments[0] == "d" {
		if len(segments) < 2 {
			return "", fmt.Errorf("%w: %s", ErrAddress, form)
		}
		return "d/" + segments[1], nil
	}
	return strings.Join(segments[:min(2, len(segments))], "/"), nil
}

var hublet = regexp.MustCompile(`^(?:meetings|app)(?:-([a-z]{2}[0-9]))?$`)

// hubspotID accepts meetings[-<hublet>].hubspot.com/<slug> and app|www.hubspot.com/meetings/<slug>, where a slug has one
// or two segments.
func hubspotID(host string, segments []string) (id, region string, err error) {
	label := strings.TrimSuffix(strings.TrimSuffix(host, "hubspot.com"), ".")
	match := hublet.FindStringSubmatch(label)
	if match != nil {
		region = match[1]
	}
	switch {
	case strings.HasPrefix(label, "meetings") && match != nil:
	case (match != nil || label == "" || label == "www") && len(segments) > 0 && segments[0] == "meetings":
		segments = segments[1:]
	default:
		return "", "", &UnsupportedError{Host: host}
	}
	if len(segments) == 0 || len(segments) > 2 || !slugs(segments) {
		return "", "", fmt.Errorf("%w: a HubSpot address is meetings.hubspot.com/<name>", ErrAddress)
	}
	return strings.Join(segments, "/"), region, nil
}

var ghlCalendar = regexp.MustCompile(`^[A-Za-z0-9]{15,64}$`)

// ghlID is the calendar's id where the page's path carries it: /widget/booking/<id>.
func ghlID(segments []string) string {
	i := slices.Index(segments, "booking")
	if i < 1 || segments[i-1] != "widget" || i+1 >= len(segments) || !ghlCalendar.MatchString(segments[i+1]) {
		return ""
	}
	return segments[i+1]
}
