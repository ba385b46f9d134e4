package audit

import (
	"context"
	"strings"
)

// compare brings messages and sends of one workspace together.
type compare struct {
	*auditor
	reader  *reader
	tenant  tenant
	report  *Report
	intents []*intent
	// held are the provider's messages of each send.
	held map[string][]seen
}

// assign gives each message to the send that claimed it, else to the newest send whose words it has.
func (c *compare) assign(ctx context.Context, messages []seen) error {
	byProvider := map[string]*intent{}
	byContact := map[string][]*intent{}
	for _, i := range c.intents {
		if i.Provider != "" {
			byProvider[i.Provider] = i
		}
		byContact[i.Contact+"/"+i.Channel] = append(byContact[i.Contact+"/"+i.Channel], i)
	}
	for _, m := range messages {
		owner := byProvider[m.ID]
		for _, id := range m.Meta.Email.IDs {
			if owner == nil {
				owner = byProvider[id]
			}
		}
		if owner == nil {
			var err error
			if owner, err = c.byWords(ctx, m, byContact[m.Contact+"/"+m.channel]); err != nil {
				return err
			}
		}
		if owner == nil {
			c.report.Foreign++
			continue
		}
		c.held[owner.ID] = append(c.held[owner.ID], m)
	}
	return nil
}

func (c *compare) byWords(ctx context.Context, m seen, candidates []*intent) (*intent, error) {
	if len(candidates) == 0 {
		return nil, nil
	}
	if m.channel == "email" {
		for _, id := range append(m.Meta.Email.IDs, m.ID)[:1] {
			body, err := c.reader.email(ctx, id)
			if err != nil {
				return nil, err
			}
			m.Body = body
		}
	}
	var best *intent
	for _, i := range candidates {
		if m.At.Before(i.From.Add(-skew)) || !says(m, i) {
			continue
		}
		if best == nil || i.From.After(best.From) {
			best = i
		}
	}
	return best, nil
}

// says: the message has the send's words at its beginning, white space aside, or its mark anywhere.
func says(m seen, i *intent) bool {
	if i.Channel == "email" {
		return strings.Contains(m.Body, i.ID)
	}
	want, have := squeeze(i.text), squeeze(m.Body)
	return want != "" && (have == want || strings.HasPrefix(have, want) && len(have)-len(want) < 400 && len(want) > 12)
}

func squeeze(s string) string {
	var b strings.Builder
	for _, word := range strings.Fields(s) {
		b.WriteString(word)
	}
	return b.String()
}

// judge names what is wrong with each send.
func (c *compare) judge(ctx context.Context) error {
	for _, i := range c.intents {
		held := c.held[i.ID]
		switch {
		case len(held) > 1:
			c.find(Twice, i, held)
		case i.accepted() && len(held) == 0:
			there, err := c.reader.exists(ctx, i.Provider)
			if err != nil {
				return err
			}
			if !there {
				c.find(OursOnly, i, []seen{{ID: i.Provider}})
			}
		case len(held) == 1 && !i.accepted() && (!i.open() || c.opts.Now().Sub(i.To) > c.opts.Settle):
			c.find(ProviderOnly, i, held)
		case i.open():
			c.report.Pending++
		}
	}
	return nil
}

func (c *compare) find(kind Kind, i *intent, messages []seen) {
	f := Finding{Kind: kind, Workspace: c.tenant.workspace, Intent: i.ID, State: i.State}
	for _, m := range messages {
		f.Messages = append(f.Messages, m.ID)
	}
	c.report.Findings = append(c.report.Findings, f)
}

func (i *intent) accepted() bool {
	return i.State == "ACCEPTED" || i.State == "DELIVERED" || i.State == "FAILED_AFTER_ACCEPT"
}

// open: it may still be settled without a person.
func (i *intent) open() bool {
	return i.State == "PLANNED" || i.State == "SENDING" || i.State == "UNKNOWN" || i.State == "RETRYABLE"
}
