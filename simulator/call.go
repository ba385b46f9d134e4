package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// call is one request on its way through the simulator.
type call struct {
	seq      int
	at       time.Time
	method   string
	path     string
	query    url.Values
	header   http.Header
	body     []byte
	params   map[string]string
	handler  func(*call) answer
	mail     MailSender // empty for GoHighLevel
	open     bool       // needs neither token nor Version header
	location string
	contact  string
	channel  string

	fault     *Fault
	accepted  bool
	messageID string
	quota     quota
}

// route is one endpoint. A segment "{name}" matches anything.
type route struct {
	method   string
	segments []string
	handler  func(*call) answer
	open     bool
	mail     MailSender
}

func newRoute(pattern string, handler func(*call) answer) route {
	method, path, _ := strings.Cut(pattern, " ")
	return route{method: method, segments: split(path), handler: handler}
}

// split cuts a path at its slashes; a final slash does not count.
func split(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}

// match returns the path's parameters, unescaped one by one: an id with an unescaped
// slash therefore reaches another endpoint, as with the real service.
func (r route) match(method string, segments []string) (map[string]string, bool) {
	if method != r.method || len(segments) != len(r.segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, want := range r.segments {
		got, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, false
		}
		if strings.HasPrefix(want, "{") {
			params[strings.Trim(want, "{}")] = got
			continue
		}
		if got != want {
			return nil, false
		}
	}
	return params, true
}

// newCall routes a request; the body is not read yet.
func (s *Simulator) newCall(r *http.Request) *call {
	c := &call{at: s.now(), method: r.Method, path: r.URL.Path, query: r.URL.Query(), header: r.Header}
	segments := split(r.URL.EscapedPath())
	for _, candidate := range s.routes {
		params, ok := candidate.match(r.Method, segments)
		if ok {
			c.params, c.handler, c.open, c.mail = params, candidate.handler, candidate.open, candidate.mail
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.world.tokens[bearer(r.Header)]; ok {
		c.location = g.location
	}
	if c.mail != "" {
		c.location = string(c.mail)
	}
	c.contact = c.params["contactId"]
	if c.contact == "" {
		c.contact = c.query.Get("contactId")
	}
	c.channel = c.query.Get("channel")
	return c
}

// inspect learns contact and channel from a JSON body, for the ledger and the faults.
func (c *call) inspect() {
	var body struct {
		ContactID any `json:"contactId"`
		Type      any `json:"type"`
	}
	if json.Unmarshal(c.body, &body) != nil {
		return
	}
	if id, ok := body.ContactID.(string); ok && c.contact == "" {
		c.contact = id
	}
	if channel, ok := body.Type.(string); ok && strings.HasPrefix(c.path, sendPath) {
		c.channel = channel
	}
}

// entry is the ledger's view of the call at receipt.
func (c *call) entry() Entry {
	e := Entry{
		Time: c.at, Method: c.method, Path: c.path, Query: c.query.Encode(), Location: c.location,
		Contact: c.contact, Channel: c.channel, BodyHash: hashBody(c.body), Body: string(c.body),
	}
	if c.query.Has("api_key") {
		query := url.Values{}
		for name, values := range c.query {
			if name != "api_key" {
				query[name] = values
			}
		}
		e.Query = query.Encode() // a key stays out of the ledger
	}
	if strings.HasPrefix(c.path, "/oauth/") {
		e.Body, e.Query = "", "" // secrets stay out of the ledger
	}
	for name := range c.header {
		e.HeaderNames = append(e.HeaderNames, name)
	}
	slices.Sort(e.HeaderNames)
	return e
}

// decode reads the body as a JSON object.
func (c *call) decode() (object, *answer) {
	var body object
	if err := json.Unmarshal(c.body, &body); err != nil || body == nil {
		bad := refuse(http.StatusBadRequest, "Unexpected token in JSON at position 0")
		return nil, &bad
	}
	return body, nil
}

func bearer(h http.Header) string {
	scheme, token, ok := strings.Cut(h.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// text reads a string field; any other type counts as absent.
func text(body object, key string) string {
	value, ok := body[key].(string)
	if !ok {
		return ""
	}
	return value
}
