package simulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

func (r response) contact() map[string]any {
	contact, _ := r.body["contact"].(map[string]any)
	return contact
}

func TestGetContact(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	must(t, r.SetDND(acme, lead, "whatsapp", simulator.DNDActive))
	got := r.get("/contacts/" + lead)
	checkSchema(t, "ContactsByIdSuccessfulResponseDto", got.body)
	contact := got.contact()
	equal(t, "email", contact["email"], any("ada@example.com"))
	equal(t, "phone", contact["phone"], any("+12025550123"))
	equal(t, "dnd", contact["dnd"], any(false))
	settings, _ := contact["dndSettings"].(map[string]any)
	if _, ok := settings["WhatsApp"]; !ok || len(settings) != 1 {
		t.Errorf("dndSettings %v", settings)
	}
	req := r.request(http.MethodGet, "/contacts/"+lead, nil)
	req.Header.Set("Version", "v3")
	settings, _ = r.do(req).contact()["dndSettings"].(map[string]any)
	if _, ok := settings["whatsApp"]; !ok {
		t.Errorf("v3 dndSettings %v", settings)
	}
	got = r.get("/contacts/UNKNOWNcontact00001")
	equal(t, "unknown", got.status, http.StatusBadRequest)
	equal(t, "unknown", got.text("message"), "Contact not found for id:UNKNOWNcontact00001")
}

func TestUpdateContact(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	put := func(body any) response { return r.do(r.request(http.MethodPut, "/contacts/"+lead, body)) }
	got := put(map[string]any{"firstName": "Grace", "tags": []string{"x"}, "dndSettings": map[string]any{"SMS": map[string]any{"status": "active"}}})
	checkSchema(t, "UpdateContactsSuccessfulResponseDto", got.body)
	for key, value := range got.body {
		if strings.HasPrefix(key, "succe") && (key == "succeeded" || value != true) {
			t.Errorf("the dated versions misspell it; got %s: %v", key, value)
		}
	}
	equal(t, "first name", got.contact()["firstName"], any("Grace"))
	equal(t, "dnd works", r.do(r.sms(lead, "x")).status, http.StatusBadRequest)
	must(t, r.Unsubscribe(acme, lead, simulator.SMS))
	put(map[string]any{"dndSettings": map[string]any{"SMS": map[string]any{"status": "inactive"}}})
	c, err := r.Contact(acme, lead)
	must(t, err)
	equal(t, "permanent stays", c.DND["SMS"], simulator.DNDPermanent)
	got = put(map[string]any{"additionalEmails": []string{}})
	equal(t, "unknown property", got.status, http.StatusUnprocessableEntity)
	if !strings.Contains(string(got.raw), "property additionalEmails should not exist") {
		t.Errorf("body %s", got.raw)
	}
}

func TestCreateAndUpsertContact(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	body := map[string]any{"locationId": acme, "firstName": "Bo", "email": "Bo@Example.com", "phone": "+1 (202) 555-0150"}
	created := r.post("/contacts/", body)
	equal(t, "created", created.status, http.StatusCreated)
	checkSchema(t, "CreateContactsSuccessfulResponseDto", created.body)
	duplicate := r.post("/contacts/", body)
	equal(t, "duplicate", duplicate.text("message"), "This location does not allow duplicated contacts.")
	meta, _ := duplicate.body["meta"].(map[string]any)
	equal(t, "meta", meta["contactId"], created.contact()["id"])
	equal(t, "field", meta["matchingField"], any("email"))
	upserted := r.post("/contacts/upsert", map[string]any{"locationId": acme, "phone": "+12025550150", "lastName": "Li"})
	checkSchema(t, "UpsertContactsSuccessfulResponseDto", upserted.body)
	equal(t, "status", upserted.status, http.StatusOK)
	equal(t, "same", upserted.contact()["id"], created.contact()["id"])
	fresh := r.post("/contacts/upsert", map[string]any{"locationId": acme, "phone": "+12025550151"})
	equal(t, "new", fresh.body["new"], any(true))
	equal(t, "new status", fresh.status, http.StatusCreated)
	split := r.post("/contacts/upsert", map[string]any{"locationId": acme, "email": "ada@example.com", "phone": "+12025550150"})
	equal(t, "first match", split.contact()["id"], any(lead))
	equal(t, "phone silently dropped", split.contact()["phone"], any("+12025550123"))
	equal(t, "no location", r.post("/contacts/", map[string]any{"email": "x@example.com"}).status, 422)
	equal(t, "other location", r.post("/contacts/upsert", map[string]any{"locationId": other}).status, 403)
}

// TestCreateContactFaults: whatever the client is told, the ledger knows what was made.
func TestCreateContactFaults(t *testing.T) {
	t.Parallel()
	onCreate := simulator.Match{Method: http.MethodPost, Path: "/contacts/"}
	body := map[string]any{"locationId": acme, "email": "bo@example.com", "phone": "+12025550150"}
	for name, c := range map[string]struct {
		fault  simulator.Fault
		status int
		made   bool
		meta   any
	}{
		"422, created":         {simulator.Fault{Kind: simulator.RefusalAfterAccept, Body: "Unprocessable"}, 422, true, nil},
		"422, not created":     {simulator.Fault{Kind: simulator.Refusal, Status: 422, Body: "Unprocessable"}, 422, false, nil},
		"a duplicate":          {simulator.Fault{Kind: simulator.Refusal, Body: "dup", DuplicateOf: lead}, 400, false, lead},
		"5xx, created":         {simulator.Fault{Kind: simulator.Status5xxAfterAccept}, 500, true, nil},
		"searched for late":    {simulator.Fault{Kind: simulator.LaggingList, Delay: time.Minute}, 201, true, nil},
		"5xx, nothing is made": {simulator.Fault{Kind: simulator.Status5xxClean}, 503, false, nil},
	} {
		r := newRig(t, simulator.Config{})
		c.fault.Match, c.fault.Times = onCreate, 1
		r.AddFault(c.fault)
		got := r.post("/contacts/", body)
		made := r.Creates(simulator.Filter{Location: acme})
		meta, _ := got.body["meta"].(map[string]any)
		if got.status != c.status || len(made) != 1 || made[0].Accepted != c.made || (made[0].MessageID != "") != c.made || meta["contactId"] != c.meta {
			t.Errorf("%s: answered %d %s, ledger %+v", name, got.status, got.raw, made)
		}
		found := func() bool {
			return r.get("/contacts/search/duplicate?locationId=" + acme + "&email=bo%40example.com").contact()["id"] == any(made[0].MessageID)
		}
		if c.fault.Kind == simulator.LaggingList {
			equal(t, name+" too early", found(), false)
			r.clock.Advance(time.Minute)
		}
		equal(t, name+" is found", found(), c.made)
	}
}

// TestAllowDuplicateContact: the location's setting decides whether a second contact with a known e-mail is stored.
func TestAllowDuplicateContact(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	must(t, r.AddLocation(simulator.Location{ID: "locationDuplicates01", AllowDuplicates: true, Token: "pit-duplicates"}))
	for location, want := range map[string]int{acme: http.StatusBadRequest, "locationDuplicates01": http.StatusCreated} {
		var last response
		for range 2 {
			req := r.request(http.MethodPost, "/contacts/", map[string]any{"locationId": location, "email": "twice@example.com"})
			if location != acme {
				req.Header.Set("Authorization", "Bearer pit-duplicates")
			}
			last = r.do(req)
		}
		equal(t, location, last.status, want)
	}
	settings, _ := r.get("/locations/" + acme).body["location"].(map[string]any)["settings"].(map[string]any)
	equal(t, "setting", settings["allowDuplicateContact"], any(false))
}

func TestFindContacts(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	must(t, r.SetDND(acme, lead, simulator.SMS, simulator.DNDActive))
	dup := func(query url.Values) any {
		query.Set("locationId", acme)
		return r.get("/contacts/search/duplicate?" + query.Encode()).contact()["id"]
	}
	equal(t, "by number", dup(url.Values{"number": {"+12025550123"}}), any(lead))
	equal(t, "by e-mail", dup(url.Values{"email": {"ADA@example.com"}}), any(lead))
	equal(t, "none", dup(url.Values{"email": {"no@example.com"}}), nil)
	search := func(extra map[string]any) response {
		body := map[string]any{"locationId": acme, "page": 1, "pageLimit": 20}
		for key, value := range extra {
			body[key] = value
		}
		return r.post("/contacts/search", body)
	}
	got := search(map[string]any{"filters": []any{map[string]any{"field": "email", "operator": "eq", "value": "Ada@example.com"}}})
	equal(t, "total", got.body["total"], any(float64(1)))
	rows, _ := got.body["contacts"].([]any)
	row, _ := rows[0].(map[string]any)
	if _, has := row["dndSettings"]; has {
		t.Error("search shows dndSettings")
	}
	equal(t, "query", search(map[string]any{"query": "byron"}).body["total"], any(float64(1)))
	equal(t, "no match", search(map[string]any{"query": "nobody"}).body["total"], any(float64(0)))
	equal(t, "page limit", search(map[string]any{"pageLimit": 501}).status, 422)
}

func (r *rig) token(form url.Values) response {
	r.t.Helper()
	form.Set("client_id", "app")
	form.Set("client_secret", "hush")
	req := r.request(http.MethodPost, "/oauth/token", form.Encode())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Del("Version")
	req.Header.Del("Authorization")
	return r.do(req)
}

func TestRefreshRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	refresh := func(token string) response {
		return r.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	}
	first := refresh("refresh-acme")
	equal(t, "status", first.status, http.StatusOK)
	checkSchema(t, "GetAccessCodeSuccessfulResponseDto", first.body)
	equal(t, "life", first.body["expires_in"], any(float64(86399)))
	r.clock.Advance(30 * time.Second)
	again := refresh("refresh-acme")
	equal(t, "grace", again.text("refresh_token"), first.text("refresh_token"))
	r.clock.Advance(time.Second)
	late := refresh("refresh-acme")
	equal(t, "spent", late.status, http.StatusBadRequest)
	equal(t, "spent", late.text("message"), "Invalid grant: refresh token is invalid")
	use := func() response {
		req := r.request(http.MethodGet, "/contacts/"+lead, nil)
		req.Header.Set("Authorization", "Bearer "+first.text("access_token"))
		return r.do(req)
	}
	equal(t, "works", use().status, http.StatusOK)
	r.clock.Advance(25 * time.Hour)
	equal(t, "expired", use().text("message"), "Invalid token: access token is invalid")
	must(t, r.SetLocationActive(acme, false))
	equal(t, "paused", refresh(first.text("refresh_token")).text("message"), "Location is not active")
	must(t, r.SetLocationActive(acme, true))
	equal(t, "same token works again", refresh(first.text("refresh_token")).status, http.StatusOK)
	for _, e := range r.Requests(simulator.Filter{Path: "/oauth/token"}) {
		if e.Body != "" || e.BodyHash == "" {
			t.Error("the ledger keeps token requests")
		}
	}
}

func TestAuthorizationCodeAndBadForms(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	code, err := r.IssueCode(acme)
	must(t, err)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}}
	got := r.token(form)
	equal(t, "exchange", got.status, http.StatusOK)
	equal(t, "location", got.text("locationId"), acme)
	got = r.token(form)
	equal(t, "second use", got.status, http.StatusUnauthorized)
	equal(t, "other envelope", got.text("error_description"), "Authorization code not found")
	equal(t, "grant type", r.token(url.Values{"grant_type": {"magic"}}).text("message"), "Invalid parameter: `grant_type`")
	equal(t, "missing", r.token(url.Values{}).text("message"), "Missing parameter: `grant_type`")
	req := r.request(http.MethodPost, "/oauth/token", `{"clientId":"a","clientSecret":"b","grantType":"refresh_token","refreshToken":"refresh-acme"}`)
	req.Header.Set("Version", "v3")
	if got = r.do(req); got.text("accessToken") == "" || got.text("refreshToken") == "" {
		t.Errorf("v3 keys: %s", got.raw)
	}
}

func TestWorldErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	for name, err := range map[string]error{
		"location id": r.AddLocation(simulator.Location{ID: "short"}),
		"zone":        r.AddLocation(simulator.Location{ID: acme, Timezone: "Mars/Base"}),
		"calendar":    r.AddCalendar("nowhere", simulator.Calendar{ID: calendar}),
		"dnd status":  r.SetDND(acme, lead, simulator.SMS, "on"),
		"dnd contact": r.SetDND(other, lead, simulator.SMS, simulator.DNDActive),
		"delete":      r.DeleteContact(acme, "nobody"),
		"status":      r.SetMessageStatus("nothing", "failed"),
		"location":    r.SetLocationActive("nowhere", true),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := r.AddContact(other, simulator.Contact{ID: lead}); err == nil {
		t.Error("a contact moved between locations")
	}
}

// TestUpdateDND holds the update of do-not-disturb to the provider's words: what was written is read back, channel by channel.
func TestUpdateDND(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	put := func(settings any) response {
		return r.do(r.request(http.MethodPut, "/contacts/"+lead, map[string]any{"dndSettings": settings}))
	}
	must(t, r.SetDND(acme, lead, simulator.Email, simulator.DNDActive))
	got := put(map[string]any{"SMS": map[string]any{"status": "active", "message": "asked us to", "code": "101"}})
	equal(t, "status", got.status, http.StatusOK)
	settings, _ := r.get("/contacts/" + lead).contact()["dndSettings"].(map[string]any)
	sms, _ := settings["SMS"].(map[string]any)
	equal(t, "message", sms["message"], any("asked us to"))
	equal(t, "code", sms["code"], any("101"))
	email, _ := settings["Email"].(map[string]any)
	equal(t, "the other channel stays", email["status"], any("active"))
	equal(t, "no such status", put(map[string]any{"SMS": map[string]any{"status": "off"}}).status, http.StatusUnprocessableEntity)
	equal(t, "no object", put("SMS").status, http.StatusUnprocessableEntity)
	put(map[string]any{"SMS": map[string]any{"status": "inactive"}})
	equal(t, "off again", r.do(r.sms(lead, "x")).status, http.StatusCreated)
}
