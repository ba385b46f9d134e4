package linking_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/sending"
)

const here = "locationHere00000001"

func TestMoves(t *testing.T) {
	t.Parallel()
	for _, m := range linking.Moves() {
		if !slices.Contains(linking.Sources(m.To, m.Rule), string(m.From)) || !linking.CanMove(m.From, m.To) {
			t.Errorf("%s: %s to %s is not in the table", m.Rule, m.From, m.To)
		}
		if !m.From.Live() {
			t.Errorf("%s leads out of the ended %s", m.Rule, m.From)
		}
		if m.To == linking.Calling && m.From != linking.Planned {
			t.Errorf("%s calls from %s: only what was searched for may be made", m.Rule, m.From)
		}
	}
}

func TestAmong(t *testing.T) {
	t.Parallel()
	eve := linking.Person{Email: "eve@example.com", Phone: "+12125550142"}
	contact := func(id string, change func(*linking.Contact)) linking.Contact {
		c := linking.Contact{ID: id + "0000000000000", Location: here}
		change(&c)
		return c
	}
	mail := contact("mail", func(c *linking.Contact) { c.Email = "Eve@Example.com" })
	phone := contact("phone", func(c *linking.Contact) { c.Phone = "(212) 555-0142" })
	other := contact("other", func(c *linking.Contact) { c.Emails = []string{"EVE@example.com"} })
	for name, c := range map[string]struct {
		who   linking.Person
		found []linking.Contact
		want  []string
	}{
		"nobody":                     {eve, nil, nil},
		"by email":                   {eve, []linking.Contact{mail}, []string{mail.ID}},
		"by phone, as people write":  {eve, []linking.Contact{phone}, []string{phone.ID}},
		"by another address":         {eve, []linking.Contact{other}, []string{other.ID}},
		"the same twice":             {eve, []linking.Contact{mail, mail}, []string{mail.ID}},
		"two":                        {eve, []linking.Contact{mail, phone}, []string{mail.ID, phone.ID}},
		"somebody else":              {eve, []linking.Contact{contact("else", func(c *linking.Contact) { c.Email, c.Phone = "bo@example.com", "+12125550199" })}, nil},
		"of another location":        {eve, []linking.Contact{contact("away", func(c *linking.Contact) { c.Email, c.Location = "eve@example.com", "elsewhere" })}, nil},
		"without an id of its shape": {eve, []linking.Contact{{ID: "../x", Location: here, Email: "eve@example.com"}}, nil},
		"nothing is not the same":    {linking.Person{Email: "eve@example.com"}, []linking.Contact{contact("void", func(*linking.Contact) {})}, nil},
		"an empty person is nobody":  {linking.Person{}, []linking.Contact{contact("void", func(*linking.Contact) {})}, nil},
	} {
		if got := c.who.Among(c.found, here); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const id = "contactOne0000000001"
	body := func(text string) []byte { return []byte(text) }
	for name, c := range map[string]struct {
		evidence classify.Evidence
		class    linking.Class
		contact  string
		reason   sending.Reason
	}{
		"made":                       {classify.Evidence{Status: 201, Body: body(`{"contact":{"id":"` + id + `","locationId":"` + here + `"}}`)}, linking.Made, id, ""},
		"made, 200":                  {classify.Evidence{Status: 200, Body: body(`{"contact":{"id":"` + id + `"}}`)}, linking.Made, id, ""},
		"made elsewhere":             {classify.Evidence{Status: 201, Body: body(`{"contact":{"id":"` + id + `","locationId":"x"}}`)}, linking.Unclear, "", ""},
		"made, a malformed id":       {classify.Evidence{Status: 201, Body: body(`{"contact":{"id":"a/b"}}`)}, linking.Unclear, "", ""},
		"made, no id":                {classify.Evidence{Status: 201, Body: body(`{}`)}, linking.Unclear, "", ""},
		"made, cut":                  {classify.Evidence{Status: 201, Body: body(`{"contact":{"id":"`)}, linking.Unclear, "", ""},
		"not sent":                   {classify.Evidence{NotSent: true}, linking.NotNow, "", sending.ProviderUnavailable},
		"broken":                     {classify.Evidence{Failed: true, Status: 201}, linking.Unclear, "", ""},
		"no answer":                  {classify.Evidence{}, linking.Unclear, "", ""},
		"5xx":                        {classify.Evidence{Status: 503}, linking.Unclear, "", ""},
		"408":                        {classify.Evidence{Status: 408}, linking.Unclear, "", ""},
		"redirected":                 {classify.Evidence{Status: 307}, linking.Unclear, "", ""},
		"429":                        {classify.Evidence{Status: 429, RetryAfter: "1"}, linking.NotNow, "", sending.ProviderRateLimited},
		"429 of something between":   {classify.Evidence{Status: 429}, linking.Unclear, "", ""},
		"429 of the search":          {classify.Evidence{Status: 429, RateLimited: true, Body: body(`{"message":"too many Point In Time contexts"}`)}, linking.Unclear, "", ""},
		"401":                        {classify.Evidence{Status: 401, Body: body(`{"message":"Invalid JWT"}`)}, linking.NotNow, "", sending.ProviderAuthRevoked},
		"403":                        {classify.Evidence{Status: 403}, linking.NotNow, "", sending.ProviderAuthRevoked},
		"a duplicate":                {classify.Evidence{Status: 400, Body: body(`{"message":"This location does not allow duplicated contacts.","meta":{"contactId":"` + id + `"}}`)}, linking.Duplicate, id, ""},
		"a duplicate, 422":           {classify.Evidence{Status: 422, Body: body(`{"meta":{"contactId":"` + id + `","matchingField":"phone"}}`)}, linking.Duplicate, id, ""},
		"a duplicate, malformed":     {classify.Evidence{Status: 400, Body: body(`{"meta":{"contactId":"../` + id + `"}}`)}, linking.Unclear, "", linking.Ambiguous},
		"a duplicate, unnamed":       {classify.Evidence{Status: 400, Body: body(`{"message":"This location does not allow duplicated contacts."}`)}, linking.Unclear, "", linking.Ambiguous},
		"422":                        {classify.Evidence{Status: 422, Body: body(`{"message":["property x should not exist"]}`)}, linking.Unclear, "", sending.RefusedUnclassified},
		"400":                        {classify.Evidence{Status: 400, Body: body(`{"message":"whatever"}`)}, linking.No, "", sending.RefusedUnclassified},
		"400, the number":            {classify.Evidence{Status: 400, Body: body(`{"message":"Invalid country calling code"}`)}, linking.No, "", sending.InvalidPhone},
		"a duplicate that is no 4xx": {classify.Evidence{Status: 500, Body: body(`{"meta":{"contactId":"` + id + `"}}`)}, linking.Unclear, "", ""},
	} {
		got := linking.Judge(c.evidence, here)
		if got.Class != c.class || got.Contact != c.contact || got.Refusal.Reason != c.reason {
			t.Errorf("%s: %+v, want %s %q %q", name, got, c.class, c.contact, c.reason)
		}
	}
}

// FuzzJudge: the judgement is total. Only a named contact of the right shape is one, and what may have been made is never "not now".
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{`{"contact":{"id":"contactOne0000000001"}}`, `{"meta":{"contactId":"../x"}}`, `{`, "", `{"message":["a"]}`} {
		for _, status := range []int{0, 200, 201, 307, 400, 401, 408, 422, 429, 500, 599} {
			f.Add(status, []byte(seed), false)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, failed bool) {
		got := linking.Judge(classify.Evidence{Status: status, Body: body, Failed: failed}, here)
		named := got.Class == linking.Made || got.Class == linking.Duplicate
		if named != (got.Contact != "") || (named && !json.Valid(body)) {
			t.Fatalf("%d %q: %+v", status, body, got)
		}
		mayBe := failed || status == 0 || status == http.StatusRequestTimeout || status == http.StatusUnprocessableEntity || status >= 500 || (status >= 200 && status < 400)
		if mayBe && (got.Class == linking.NotNow || got.Class == linking.No) {
			t.Fatalf("%d %q may have made a contact: %+v", status, body, got)
		}
		if got.Class == linking.No && got.Refusal.Reason == "" {
			t.Fatalf("%d %q: refused without a reason", status, body)
		}
	})
}

func timing() sending.Timing {
	return sending.Timing{Write: 5 * time.Second, Pause: time.Minute, Call: 15 * time.Second, Delay: 2 * time.Minute, Visible: 10 * time.Minute, Settle: 15 * time.Minute}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open linking.Open
		seen linking.Sighting
		rule linking.Rule
		to   linking.State
		wait time.Duration
	}{
		"found at once":                {linking.Open{Age: time.Second, Calls: 1}, linking.Sighting{Complete: true, Contacts: []string{"a"}}, linking.K3, linking.Linked, 0},
		"two":                          {linking.Open{Age: time.Second, Calls: 1}, linking.Sighting{Complete: true, Contacts: []string{"a", "b"}}, linking.K4, linking.Conflict, 0},
		"absent, too early":            {linking.Open{Age: time.Minute, Looks: 9, Calls: 1}, linking.Sighting{Complete: true}, "", "", time.Minute},
		"absent, too few looks":        {linking.Open{Age: time.Hour, Looks: 1, Calls: 1}, linking.Sighting{Complete: true}, "", "", 30 * time.Second},
		"absent":                       {linking.Open{Age: 15 * time.Minute, Looks: 2, Calls: 1}, linking.Sighting{Complete: true}, linking.K9, linking.Planned, 0},
		"absent, and it was refused":   {linking.Open{Age: 15 * time.Minute, Looks: 2, Calls: 1, Refused: true}, linking.Sighting{Complete: true}, linking.K10, linking.Refused, 0},
		"absent after the last call":   {linking.Open{Age: 15 * time.Minute, Looks: 2, Calls: linking.MaxCalls}, linking.Sighting{Complete: true}, linking.K10, linking.Refused, 0},
		"unreadable is not absent":     {linking.Open{Age: 20 * time.Minute, Looks: 9, Calls: 9}, linking.Sighting{}, "", "", 30 * time.Second},
		"unreadable for days":          {linking.Open{Age: 99 * time.Hour, Looks: 9, Calls: 9}, linking.Sighting{}, "", "", 15 * time.Minute},
		"found where a read is broken": {linking.Open{Age: time.Hour, Calls: 1}, linking.Sighting{Contacts: []string{"a"}}, linking.K3, linking.Linked, 0},
	} {
		got := linking.Settle(timing(), c.open, c.seen)
		if got.Rule != c.rule || got.To != c.to || got.Wait != c.wait {
			t.Errorf("%s: %+v", name, got)
		}
		if got.Rule != "" && !slices.ContainsFunc(linking.Moves(), func(m linking.Move) bool {
			return m.Rule == got.Rule && m.From == linking.Unknown && m.To == got.To
		}) {
			t.Errorf("%s: %s is no arrow out of UNKNOWN", name, got.Rule)
		}
	}
}
