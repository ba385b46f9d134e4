// Package history decides how a provider's list of messages and the stored timeline become one: which listed message is
// which stored one, what is missing, what is stored and not listed, and whether both hold the same. It is pure.
package history

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// The windows in which a stored message without the provider's id may be a listed one with the same text: by the time of
// the message, or by the time at which we stored it.
const (
	MessageWindow = time.Minute
	StoredWindow  = 10 * time.Minute
	// RetryWindow is how long after its first try a person may send a message again under a new id.
	RetryWindow = 24 * time.Hour
)

// Listed is a message in a list of the provider.
type Listed struct {
	ID      string
	Inbound bool
	At      time.Time
	// Hash is of the normalised text; empty where lists do not give it.
	Hash []byte
}

// Same reports whether a list shows the same message in the same way.
func (l Listed) Same(other Listed) bool {
	return l.ID == other.ID && l.Inbound == other.Inbound && l.At.Equal(other.At) && bytes.Equal(l.Hash, other.Hash)
}

// Stored is a message of the timeline.
type Stored struct {
	// Key is ours.
	Key string
	// ProviderID is empty while it is not known.
	ProviderID string
	Inbound    bool
	// Own is a send of ours: the provider may have rewritten its text.
	Own  bool
	Hash []byte
	At   time.Time
	// Created is when we stored it.
	Created time.Time
}

// Link says that a stored message is a listed one.
type Link struct {
	Key, ProviderID string
}

// LinkTexts pairs listed messages with stored ones that have no provider id: same direction, same text, within the
// windows; the nearest pair first, and each message at most once, so that a short reply said twice stays two messages.
func LinkTexts(listed []Listed, stored []Stored) []Link {
	type pair struct {
		l, s int
		far  time.Duration
	}
	var pairs []pair
	for i, l := range listed {
		for j, s := range stored {
			if s.ProviderID != "" || s.Own || len(l.Hash) == 0 || l.Inbound != s.Inbound || !bytes.Equal(l.Hash, s.Hash) {
				continue
			}
			byTime, byStored := l.At.Sub(s.At).Abs(), l.At.Sub(s.Created).Abs()
			if byTime <= MessageWindow || byStored <= StoredWindow {
				pairs = append(pairs, pair{l: i, s: j, far: min(byTime, byStored)})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(listed[a.l].ID, listed[b.l].ID), cmp.Compare(stored[a.s].Key, stored[b.s].Key))
	})
	var out []Link
	usedL, usedS := map[int]bool{}, map[int]bool{}
	for _, p := range pairs {
		if !usedL[p.l] && !usedS[p.s] {
			usedL[p.l], usedS[p.s] = true, true
			out = append(out, Link{Key: stored[p.s].Key, ProviderID: listed[p.l].ID})
		}
	}
	return out
}

// Relink finds messages that a person sent again in the provider's pages: the old id is not listed any more, and one
// outbound message with the same text, which is no send of ours, came within a day. Where two could be it, none is. listed
// is the whole list; the new message may be stored already.
func Relink(listed []Listed, stored []Stored) []Link {
	known, there := map[string]bool{}, map[string]bool{}
	for _, s := range stored {
		known[s.ProviderID] = s.Own
	}
	for _, l := range listed {
		there[l.ID] = true
	}
	var out []Link
	for _, s := range stored {
		if s.ProviderID == "" || s.Inbound || there[s.ProviderID] {
			continue
		}
		found := map[string]bool{} // Lists overlap.
		for _, l := range listed {
			if !l.Inbound && !known[l.ID] && len(l.Hash) > 0 && bytes.Equal(l.Hash, s.Hash) &&
				!l.At.Before(s.At) && l.At.Sub(s.At) <= RetryWindow {
				found[l.ID] = true
			}
		}
		if len(found) != 1 {
			continue
		}
		for id := range found {
			known[id] = true
			out = append(out, Link{Key: s.Key, ProviderID: id})
		}
	}
	return out
}
