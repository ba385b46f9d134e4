package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// adminHandler serves /_sim/: the same doors as the Go API, for people with curl. It
// answers loopback only, and delivers webhooks to loopback only.
func (s *Simulator) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/ledger", s.adminLedger)
	mux.HandleFunc("GET /_sim/key", s.adminKey)
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		adminReply(w, http.StatusOK, object{"faults": s.faults.list()})
	})
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		adminReply(w, http.StatusOK, object{})
	})
	mux.HandleFunc("DELETE /_sim/faults/{id}", s.adminRemoveFault)
	mux.HandleFunc("POST /_sim/locations", admin(s.adminLocation))
	mux.HandleFunc("POST /_sim/contacts", admin(s.adminContact))
	mux.HandleFunc("POST /_sim/calendars", admin(s.adminCalendar))
	mux.HandleFunc("POST /_sim/inbound", admin(s.adminInbound))
	mux.HandleFunc("POST /_sim/dnd", admin(s.adminDND))
	mux.HandleFunc("POST /_sim/faults", admin(s.adminFault))
	mux.HandleFunc("POST /_sim/deliver", admin(s.adminDeliver))
	mux.HandleFunc("/_sim/followed", s.adminFollowed)
	return loopbackOnly(mux)
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil || !isLoopback(host) {
			adminReply(w, http.StatusForbidden, object{"error": "the admin API answers loopback only"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// admin decodes a JSON body with no unknown field and writes what the handler returns.
func admin[In any](handle func(*http.Request, In) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			adminReply(w, http.StatusBadRequest, object{"error": err.Error()})
			return
		}
		out, err := handle(r, in)
		switch {
		case errors.Is(err, ErrNoLocation), errors.Is(err, ErrNoContact), errors.Is(err, ErrNoCalendar):
			adminReply(w, http.StatusNotFound, object{"error": err.Error()})
		case err != nil:
			adminReply(w, http.StatusBadRequest, object{"error": err.Error()})
		default:
			adminReply(w, http.StatusOK, out)
		}
	}
}

func adminReply(w http.ResponseWriter, status int, body any) {
	raw, err := json.MarshalIndent(body, "", "  ")
	if err != nil { // our own types marshal
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // a reader that left does not matter
}

func (s *Simulator) adminLedger(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := Filter{Location: q.Get("location"), Contact: q.Get("contact"), Channel: q.Get("channel"), Method: q.Get("method"), Path: q.Get("path")}
	entries := s.Requests(f)
	switch {
	case q.Get("accepted") == "true":
		entries = s.Accepted(f)
	case q.Get("sends") == "true":
		entries = s.Sends(f)
	}
	if entries == nil {
		entries = []Entry{}
	}
	adminReply(w, http.StatusOK, object{"entries": entries, "total": len(entries)})
}

func (s *Simulator) adminKey(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = io.WriteString(w, s.PublicKeyPEM())
}

func (s *Simulator) adminRemoveFault(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !s.faults.remove(id) {
		adminReply(w, http.StatusNotFound, object{"error": "no such fault"})
		return
	}
	adminReply(w, http.StatusOK, object{})
}

// adminFollowed is where the Redirect fault points: whoever comes has followed it.
func (s *Simulator) adminFollowed(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(r)
	c.seq = s.ledger.receive(c.entry())
	s.record(c, http.StatusTeapot, "redirect followed")
	adminReply(w, http.StatusTeapot, object{"error": "a send must not follow redirects"})
}

func (s *Simulator) adminLocation(_ *http.Request, in Location) (any, error) {
	if in.ID == "" {
		in.ID = newID()
	}
	in.Token = firstOf(in.Token, "pit-"+newUUID())
	return in, s.AddLocation(in)
}

// contactInput is a contact and the location it goes to.
type contactInput struct {
	Location string `json:"locationId"`
	Contact
}

func (s *Simulator) adminContact(_ *http.Request, in contactInput) (any, error) {
	return s.AddContact(in.Location, in.Contact)
}

// calendarInput gives durations in minutes, since JSON has none.
type calendarInput struct {
	Location    string     `json:"locationId"`
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Timezone    string     `json:"timezone"`
	SlotMinutes int        `json:"slotMinutes"`
	OpenMinute  int        `json:"openMinute"`
	CloseMinute int        `json:"closeMinute"`
	Busy        []Interval `json:"busy"`
}

func (s *Simulator) adminCalendar(_ *http.Request, in calendarInput) (any, error) {
	if in.ID == "" {
		in.ID = newID()
	}
	return object{"id": in.ID}, s.AddCalendar(in.Location, Calendar{
		ID: in.ID, Name: in.Name, Timezone: in.Timezone, SlotDuration: time.Duration(in.SlotMinutes) * time.Minute,
		Open: time.Duration(in.OpenMinute) * time.Minute, Close: time.Duration(in.CloseMinute) * time.Minute, Busy: in.Busy,
	})
}

// target is where a webhook of the admin API goes; no URL means nowhere.
type target struct {
	URL     string            `json:"url"`
	Dialect string            `json:"dialect"` // marketplace (default) or workflow
	Headers map[string]string `json:"headers"`
}

func (t target) check() error {
	if t.URL == "" {
		return nil
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if !isLoopback(u.Hostname()) {
		return errors.New("the admin API delivers to loopback only")
	}
	return nil
}

// deliver sends a payload in the target's dialect.
func (s *Simulator) deliver(r *http.Request, t target, p Payload) (Delivery, error) {
	if t.URL == "" {
		return Delivery{}, nil
	}
	if t.Dialect != "workflow" {
		return s.Deliver(r.Context(), t.URL, p)
	}
	header := http.Header{}
	for name, value := range t.Headers {
		header.Set(name, value)
	}
	return s.DeliverWorkflow(r.Context(), t.URL, p, header)
}

type inboundInput struct {
	Location string `json:"locationId"`
	Contact  string `json:"contactId"`
	Channel  string `json:"channel"` // default SMS
	Body     string `json:"body"`
	target
}

// adminInbound plays a lead that writes, and delivers the webhook when a URL is given.
func (s *Simulator) adminInbound(r *http.Request, in inboundInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	m, err := s.AddInboundMessage(in.Location, in.Contact, firstOf(in.Channel, SMS), in.Body)
	if err != nil {
		return nil, err
	}
	p := m.Webhook
	if in.Dialect == "workflow" {
		if p, err = s.WorkflowWebhook(in.Location, in.Contact, WorkflowMessage{Body: in.Body}); err != nil {
			return nil, err
		}
	}
	d, err := s.deliver(r, in.target, p)
	return object{"messageId": m.MessageID, "conversationId": m.ConversationID, "webhook": p, "delivery": d, "dndWebhook": m.DNDWebhook}, err
}

type dndInput struct {
	Location string `json:"locationId"`
	Contact  string `json:"contactId"`
	Channel  string `json:"channel"` // SMS, Email, …, or all
	Status   string `json:"status"`  // active (blocked), inactive or permanent
	target
}

// adminDND sets do-not-disturb, and delivers ContactDndUpdate when a URL is given.
func (s *Simulator) adminDND(r *http.Request, in dndInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := s.SetDND(in.Location, in.Contact, firstOf(in.Channel, SMS), firstOf(in.Status, DNDActive)); err != nil {
		return nil, err
	}
	p, err := s.ContactWebhook(in.Location, in.Contact, eventDNDUpdate)
	if err != nil {
		return nil, err
	}
	in.Dialect = ""
	d, err := s.deliver(r, in.target, p)
	return object{"webhook": p, "delivery": d}, err
}

// faultInput is a fault with its delay in milliseconds.
type faultInput struct {
	Fault
	DelayMillis int `json:"delayMillis"`
}

func (s *Simulator) adminFault(_ *http.Request, in faultInput) (any, error) {
	if in.Kind == "" {
		return nil, errors.New("kind is required")
	}
	if in.DelayMillis > 0 {
		in.Delay = time.Duration(in.DelayMillis) * time.Millisecond
	}
	return object{"id": s.AddFault(in.Fault).ID()}, nil
}

type deliverInput struct {
	Location string  `json:"locationId"`
	Contact  string  `json:"contactId"`
	Event    string  `json:"event"`   // ContactCreate, …; with a contact its state, else the official sample
	Payload  Payload `json:"payload"` // sent as it is, in place of an event
	target
}

// adminDeliver sends an event or any payload, signed unless the dialect is workflow.
func (s *Simulator) adminDeliver(r *http.Request, in deliverInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	p, err := in.Payload, error(nil)
	switch {
	case p != nil:
	case in.Dialect == "workflow":
		p, err = s.WorkflowWebhook(in.Location, in.Contact, WorkflowMessage{})
	case in.Contact != "":
		p, err = s.ContactWebhook(in.Location, in.Contact, in.Event)
	default:
		p, err = s.Sample(in.Location, in.Event)
	}
	if err != nil {
		return nil, err
	}
	d, err := s.deliver(r, in.target, p)
	return object{"webhook": p, "signature": s.Sign(p.Raw()), "delivery": d}, err
}
