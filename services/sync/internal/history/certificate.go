package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
)

// Sum is a hash over a set of messages: the sum of their SHA-256 digests modulo 2^256. Messages are added in any order,
// page by page. It guards against loss and error, not against somebody who searches for collisions.
type Sum [sha256.Size]byte

// Add counts a digest in.
func (s *Sum) Add(digest Sum) {
	var carry uint64
	for i := len(s) - 8; i >= 0; i -= 8 {
		var word uint64
		word, carry = bits.Add64(binary.BigEndian.Uint64(s[i:]), binary.BigEndian.Uint64(digest[i:]), carry)
		binary.BigEndian.PutUint64(s[i:], word)
	}
}

// Digest is a message's digest: id, direction, time to the millisecond, and the hash of its text where both sides have it.
func Digest(id string, inbound bool, at time.Time, hash []byte) Sum {
	var room [128]byte                                               // More than ids of providers and hashes need.
	text := binary.BigEndian.AppendUint32(room[:0], uint32(len(id))) // #nosec G115 -- ids are short
	text = append(text, id...)
	direction := byte(0)
	if inbound {
		direction = 1
	}
	text = append(text, direction)
	text = binary.BigEndian.AppendUint64(text, uint64(at.UnixMilli())) // #nosec G115 -- bits only
	return sha256.Sum256(append(text, hash...))
}

// Certificate is the outcome of a whole comparison.
type Certificate struct {
	Listed, Stored       int
	ListedSum, StoredSum Sum
	// Missing are listed and not stored, Extra stored and not listed, Altered in both and different; ids, sorted.
	Missing, Extra, Altered []string
}

// Differences counts what differs.
func (c Certificate) Differences() int { return len(c.Missing) + len(c.Extra) + len(c.Altered) }

// Proven reports that both hold the same.
func (c Certificate) Proven() bool {
	return c.Differences() == 0 && c.Listed == c.Stored && c.ListedSum == c.StoredSum
}

// Compare compares the whole list with what is stored. Messages stored at or after began are left out of the extra ones,
// since the list may be older than they are. An own message's text is not compared: the provider may rewrite it.
func Compare(listed []Listed, stored []Stored, began time.Time) Certificate {
	var c Certificate
	ours := make(map[string]*Stored, len(stored))
	for i, s := range stored {
		if s.ProviderID != "" {
			ours[s.ProviderID] = &stored[i]
		}
	}
	seen := make(map[string]bool, len(listed))
	for _, l := range listed {
		if seen[l.ID] {
			continue
		}
		seen[l.ID] = true
		c.add(l, ours[l.ID])
	}
	for id, s := range ours {
		if !seen[id] && s.Created.Before(began) {
			c.Stored++
			c.StoredSum.Add(Digest(id, s.Inbound, s.At, s.Hash))
			c.Extra = append(c.Extra, id)
		}
	}
	for _, ids := range [][]string{c.Missing, c.Extra, c.Altered} {
		slices.Sort(ids)
	}
	return c
}

// add counts a listed message in, and the stored one that it is, if any.
func (c *Certificate) add(l Listed, s *Stored) {
	c.Listed++
	hash := l.Hash
	if s != nil && s.Own {
		hash = nil
	}
	digest := Digest(l.ID, l.Inbound, l.At, hash)
	c.ListedSum.Add(digest)
	if s == nil {
		c.Missing = append(c.Missing, l.ID)
		return
	}
	c.Stored++
	if s.Inbound == l.Inbound && s.At.UnixMilli() == l.At.UnixMilli() && (len(hash) == 0 || bytes.Equal(s.Hash, hash)) {
		c.StoredSum.Add(digest) // Of the same, and by far the most are.
		return
	}
	mine := s.Hash
	if len(hash) == 0 {
		mine = nil
	}
	c.StoredSum.Add(Digest(s.ProviderID, s.Inbound, s.At, mine))
	c.Altered = append(c.Altered, l.ID)
}
