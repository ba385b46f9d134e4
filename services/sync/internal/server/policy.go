package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/legal"
)

// maxConfirmation is one text.
const maxConfirmation = 160

// policyProto shows a stored policy; none shows as nothing.
func policyProto(raw []byte) *syncv1.ContactPolicy {
	var p legal.Policy
	if json.Unmarshal(raw, &p) != nil {
		return nil // our own column; the gate refuses to send with it
	}
	out := &syncv1.ContactPolicy{Sms: channelPolicy(p, legal.SMS), Email: channelPolicy(p, legal.Email)}
	if out.GetSms() == nil && out.GetEmail() == nil {
		return nil
	}
	return out
}

func channelPolicy(p legal.Policy, channel legal.Channel) *syncv1.ChannelPolicy {
	h, hours := p.Hours[channel]
	limit, capped := p.DailyCap[channel]
	if !hours && !capped {
		return nil
	}
	out := &syncv1.ChannelPolicy{DailyCap: int32(limit)}
	if hours {
		out.OpenFrom, out.OpenUntil = clockText(h.From), clockText(h.To)
	}
	return out
}

func clockText(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// minutes reads "HH:MM".
func minutes(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, false
	}
	return t.Hour()*60 + t.Minute(), true
}

// contactPolicy reads a policy and checks it.
func (c *check) contactPolicy(in *syncv1.ContactPolicy) []byte {
	p := legal.Policy{Hours: map[legal.Channel]legal.Hours{}, DailyCap: map[legal.Channel]int{}}
	for channel, said := range map[legal.Channel]*syncv1.ChannelPolicy{legal.SMS: in.GetSms(), legal.Email: in.GetEmail()} {
		if said.GetOpenFrom() != "" || said.GetOpenUntil() != "" {
			from, ok1 := minutes(said.GetOpenFrom())
			until, ok2 := minutes(said.GetOpenUntil())
			if !ok1 || !ok2 {
				c.add("workspace.contact_policy."+string(channel), "open_from and open_until must both be HH:MM, or both empty")
				continue
			}
			p.Hours[channel] = legal.Hours{From: from, To: until}
		}
		if n := said.GetDailyCap(); n != 0 {
			p.DailyCap[channel] = int(n)
		}
	}
	for _, problem := range p.Check() {
		c.add("workspace.contact_policy."+problem.Field, problem.Text)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		c.add("workspace.contact_policy", "cannot be stored")
	}
	return raw
}

// policyPath takes one path of an update mask over from said to kept, and reports false for a path that is none of a policy.
func policyPath(path string, kept, said *syncv1.ContactPolicy) bool {
	if path == "contact_policy" {
		kept.Sms, kept.Email = said.GetSms(), said.GetEmail()
		return true
	}
	rest, ok := strings.CutPrefix(path, "contact_policy.")
	channel, field, _ := strings.Cut(rest, ".")
	to, from := &kept.Sms, said.GetSms()
	switch {
	case !ok:
		return false
	case channel == "email":
		to, from = &kept.Email, said.GetEmail()
	case channel != "sms":
		return false
	}
	if field == "" {
		*to = from
		return true
	}
	if *to == nil {
		*to = &syncv1.ChannelPolicy{}
	}
	switch field {
	case "open_from":
		(*to).OpenFrom = from.GetOpenFrom()
	case "open_until":
		(*to).OpenUntil = from.GetOpenUntil()
	case "daily_cap":
		(*to).DailyCap = from.GetDailyCap()
	default:
		return false
	}
	return true
}

// confirmation checks the words that confirm an opt-out.
func (c *check) confirmation(text string) string {
	text = strings.TrimSpace(text)
	bad := utf8.RuneCountInString(text) > maxConfirmation || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl)
	c.when(bad, "workspace.opt_out_confirmation", "must be one line of at most 160 characters")
	c.when(strings.Contains(text, "://") || strings.Contains(strings.ToLower(text), "www."), "workspace.opt_out_confirmation", "must hold no link: it may not advertise")
	return text
}
