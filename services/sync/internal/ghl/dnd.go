package ghl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// mark begins the message of a switch that was set by us. It tells ours from those of people and of carriers.
const mark = "Relance: "

// Switches are a contact's do-not-disturb switches as read.
type Switches struct {
	flags map[sending.Channel]sending.ChannelStatus
	raw   map[string]dndSetting
}

// dndSetting is one switch of dndSettings.
type dndSetting struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
	Code    string `json:"code,omitempty"`
}

// Blocked reports whether the provider lets no message of a channel leave.
func (s Switches) Blocked(channel sending.Channel) bool { return s.flags[channel] != sending.Open }

// Ours reports whether the switch of a channel is on because we set it.
func (s Switches) Ours(channel sending.Channel) bool {
	for name, setting := range s.raw {
		if webhook.ChannelOf(name) == channel {
			return strings.EqualFold(setting.Status, "active") && strings.HasPrefix(setting.Message, mark)
		}
	}
	return false
}

// Switches reads a contact's do-not-disturb switches. Errors: ErrID, ReadError.
func (c *Client) Switches(ctx context.Context, who Account, contact string) (Switches, error) {
	if !lead.ValidID(contact) {
		return Switches{}, ErrID
	}
	var answer struct {
		Contact struct {
			LocationID  string          `json:"locationId"`
			DND         bool            `json:"dnd"`
			DNDSettings json.RawMessage `json:"dndSettings"`
		} `json:"contact"`
	}
	if err := c.get(ctx, call{path: "/contacts/" + contact, version: versionContacts, who: who}, &answer); err != nil {
		return Switches{}, err
	}
	if answer.Contact.LocationID == "" {
		return Switches{}, garbled() // a success that names no contact says nothing about its switches
	}
	out := Switches{flags: webhook.Flags(answer.Contact.DND, webhook.Settings(answer.Contact.DNDSettings)), raw: map[string]dndSetting{}}
	var byName map[string]json.RawMessage
	_ = json.Unmarshal(answer.Contact.DNDSettings, &byName) // absent: nothing is set
	for name, raw := range byName {
		var setting dndSetting
		if json.Unmarshal(raw, &setting) == nil {
			out.raw[name] = setting
		}
	}
	return out, nil
}

// SetSwitch sets one channel's switch; why is for the people who see it at the provider. The switches that were read on are
// sent along: whether an update merges or replaces, no other block is lost. A switch called permanent is the carrier's and
// cannot be written. Errors: ErrID, ReadError; after one of them the switch may still have been set.
func (c *Client) SetSwitch(ctx context.Context, who Account, contact string, read Switches, change SwitchChange) error {
	if !lead.ValidID(contact) {
		return ErrID
	}
	settings := map[string]dndSetting{}
	for name, setting := range read.raw {
		if strings.EqualFold(setting.Status, "active") {
			settings[name] = setting
		}
		if webhook.ChannelOf(name) == change.Channel {
			delete(settings, name)
		}
	}
	mine := dndSetting{Status: "inactive", Message: mark + change.Why}
	if change.On {
		mine.Status = "active"
	}
	settings[map[sending.Channel]string{sending.SMS: "SMS", sending.Email: "Email"}[change.Channel]] = mine
	body, err := json.Marshal(map[string]any{"dndSettings": settings})
	if err != nil {
		return fmt.Errorf("write switch: %w", err)
	}
	return c.put(ctx, call{path: "/contacts/" + contact, version: versionContacts, who: who, body: body})
}

// SwitchChange is what a switch becomes.
type SwitchChange struct {
	Channel sending.Channel
	On      bool
	Why     string
}

// put writes once a permit is there. A token that the provider calls expired is renewed, and the write made once more: it was
// not taken.
func (c *Client) put(ctx context.Context, in call) error {
	in.method = http.MethodPut
	err := c.putOnce(ctx, in)
	var failed *ReadError
	if in.who.Renew == nil || !errors.As(err, &failed) || !failed.Verdict.TokenExpired {
		return err
	}
	if in.who, err = in.who.Renew(ctx); err != nil {
		return fmt.Errorf("renew token: %w", err)
	}
	return c.putOnce(ctx, in)
}

func (c *Client) putOnce(ctx context.Context, in call) error {
	if err := c.permit(ctx, in.who, budget.Automated); err != nil {
		return err
	}
	r := c.do(ctx, in)
	if r.Evidence.Failed || r.Evidence.NotSent || r.Evidence.Status < 200 || r.Evidence.Status > 299 {
		failed := provider.ReadFailed(r.Evidence)
		if failed.Verdict.Class == classify.Unknown {
			failed.Verdict.Refusal.Reason = sending.ProviderUnavailable
		}
		return failed
	}
	return nil
}
