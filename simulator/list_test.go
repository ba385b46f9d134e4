package simulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

// odd are texts that JSON writes in another way than they are.
var odd = []string{
	"", "plain", `quotes " and \ and /`, "two\nlines\tand\r\b\f\x00\x1f\x7f", "<b>&amp;</b> 'x'", "ünïcode 🙂 \u2028 \u2029", "not \xff UTF-8 \xc3", "{}[],:",
}

// Lists are written by hand: each of their messages is what a read of it alone shows, and the bytes are those of encoding/json.
func TestListsShowWhatReadsShow(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	for i, text := range odd {
		for j, channel := range []string{simulator.SMS, simulator.WhatsApp, simulator.Email} {
			h := simulator.HistoryMessage{Channel: channel, Body: text, Source: text, At: r.clock.Now().Add(time.Duration(-i*3-j) * time.Second)}
			if i%2 == 1 {
				h.Direction = simulator.Inbound
			}
			_, err := r.AddHistory(acme, lead, h)
			must(t, err)
		}
	}
	r.do(r.sms(lead, "its status follows the clock"))
	conversation := rowIDs(r.get("/conversations/search?locationId=" + acme + "&contactId=" + lead).body["conversations"])[0]
	export := "/conversations/messages/export?locationId=" + acme
	shown := 0
	for _, path := range []string{
		export, export + "&channel=Email", export + "&limit=10&contactId=" + lead, export + "&contactId=nobody",
		"/conversations/" + conversation + "/messages?limit=100", "/conversations/" + conversation + "/messages?limit=1", "/conversations/" + conversation + "/messages?type=TYPE_CALL",
	} {
		shown += r.listed(path)
	}
	if want := 17 + 8 + 10 + 25 + 1; shown != want {
		t.Errorf("lists showed %d messages, want %d", shown, want)
	}
}

// listed compares a list with reads of its messages, and tells how many it shows.
func (r *rig) listed(path string) int {
	r.t.Helper()
	answer := r.get(path)
	var again bytes.Buffer
	enc := json.NewEncoder(&again)
	enc.SetEscapeHTML(false)
	must(r.t, enc.Encode(answer.body))
	have := bytes.ReplaceAll(answer.raw, []byte(`\ufffd`), []byte("\ufffd")) // what encoding/json makes of no UTF-8, and reads as this
	if want := bytes.TrimSpace(again.Bytes()); !bytes.Equal(have, want) {
		r.t.Errorf("%s is not written as encoding/json writes it:\n%s\n%s", path, have, want)
	}
	rows, ok := answer.body["messages"].([]any)
	if !ok {
		page, _ := answer.body["messages"].(map[string]any)
		rows, _ = page["messages"].([]any)
		last := any("")
		if len(rows) > 0 {
			last = rows[len(rows)-1].(map[string]any)["id"]
		}
		equal(r.t, path+": last", page["lastMessageId"], last)
	}
	if rows == nil {
		r.t.Errorf("%s: no list", path)
	}
	for _, row := range rows {
		message := row.(map[string]any)
		read := r.get(fmt.Sprint("/conversations/messages/", message["id"])).body
		delete(read, "traceId")
		if !reflect.DeepEqual(read, message) {
			r.t.Errorf("%s: a message is %v alone and %v in the list", path, read, message)
		}
	}
	return len(rows)
}
