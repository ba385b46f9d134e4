package webhook

import (
	"encoding/json"
	"strings"

	"github.com/relance/relance/services/sync/internal/sending"
)

// ChannelOf gives the channel of a provider's message type, empty for one that is not followed.
func ChannelOf(messageType string) sending.Channel {
	switch strings.ToUpper(strings.TrimPrefix(strings.ToUpper(messageType), "TYPE_")) {
	case "SMS":
		return sending.SMS
	case "EMAIL":
		return sending.Email
	default:
		return ""
	}
}

// Settings reads dndSettings of any version: keys in any case, values that are no flag are skipped.
func Settings(raw json.RawMessage) map[sending.Channel]sending.ChannelStatus {
	out := map[sending.Channel]sending.ChannelStatus{}
	var byChannel map[string]json.RawMessage
	if json.Unmarshal(raw, &byChannel) != nil {
		return out
	}
	for name, rawFlag := range byChannel {
		channel := ChannelOf(name)
		var flag struct {
			Status string `json:"status"`
		}
		if channel == "" || json.Unmarshal(rawFlag, &flag) != nil {
			continue
		}
		switch strings.ToLower(flag.Status) {
		case "active":
			out[channel] = sending.DND
		case "permanent":
			out[channel] = sending.DNDPermanent
		case "inactive":
			out[channel] = sending.Open
		}
	}
	return out
}

// Flags gives the flag of every followed channel after the contact's switches: the contact-wide switch blocks all, a
// permanent flag stays permanent, and a channel that nothing is said about is open.
func Flags(all bool, settings map[sending.Channel]sending.ChannelStatus) map[sending.Channel]sending.ChannelStatus {
	out := map[sending.Channel]sending.ChannelStatus{sending.SMS: sending.Open, sending.Email: sending.Open}
	for channel := range out {
		if status, said := settings[channel]; said {
			out[channel] = status
		}
		if all && out[channel] == sending.Open {
			out[channel] = sending.DND
		}
	}
	return out
}

// InboundDND reads inboundDndSettings: whether the provider keeps the contact's messages from its location. Keys in any case;
// what is no such setting means no.
func InboundDND(raw json.RawMessage) bool {
	var settings map[string]json.RawMessage
	if json.Unmarshal(raw, &settings) != nil {
		return false
	}
	for name, rawFlag := range settings {
		var flag struct {
			Status string `json:"status"`
		}
		if strings.EqualFold(name, "all") && json.Unmarshal(rawFlag, &flag) == nil && strings.EqualFold(flag.Status, "active") {
			return true
		}
	}
	return false
}
