package sending

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"unicode"
)

// Channel is a way to reach a lead, as stored.
type Channel string

// Channels that can be sent on.
const (
	SMS   Channel = "sms"
	Email Channel = "email"
)

// Content is what a message says. It is fixed when the send is planned; the bytes hashed are the bytes sent.
type Content struct {
	Subject string `json:"subject,omitempty"`
	Body    string `json:"body,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// Hashes are the digests by which a repeated request id is compared without keeping the text in clear.
type Hashes struct {
	Subject, Body, HTML []byte
}

// Hash digests each part of the content.
func (c Content) Hash() Hashes {
	return Hashes{Subject: digest(c.Subject), Body: digest(c.Body), HTML: digest(c.HTML)}
}

// Differ names the parts in which two contents differ, in the order of the API's fields.
func (h Hashes) Differ(other Hashes) []string {
	var out []string
	for _, part := range []struct {
		name string
		a, b []byte
	}{{"subject", h.Subject, other.Subject}, {"body", h.Body, other.Body}, {"html", h.HTML, other.HTML}} {
		if !bytes.Equal(part.a, part.b) {
			out = append(out, part.name)
		}
	}
	return out
}

// Empty reports whether there is nothing to say on the channel: an SMS without text, or an email without HTML or subject.
func (c Content) Empty(channel Channel) bool {
	if channel == Email {
		return blank(c.HTML) || blank(c.Subject)
	}
	return blank(c.Body)
}

// TextHash digests the normalised text of a message, by which the same message is recognised when it comes in two ways.
func TextHash(text string) []byte {
	var room [1024]byte // Enough for a text message: histories are hashed by the hundred thousand.
	words := room[:0]
	for word := range strings.FieldsSeq(text) {
		if len(words) > 0 {
			words = append(words, ' ')
		}
		words = append(words, word...)
	}
	sum := sha256.Sum256(words)
	return sum[:]
}

// Marker is the trace of a send in its own email: an empty element with the id of the message, by which it is recognised
// in the provider's history whatever was done to its words.
func Marker(message string) string { return `<span id="rl-` + message + `"></span>` }

// Marked is the content as it leaves: an email carries its Marker at the end of its HTML. Text messages are left alone.
func (c Content) Marked(channel Channel, message string) Content {
	if channel != Email || c.HTML == "" {
		return c
	}
	end := len(c.HTML)
	for _, tag := range []string{"</body>", "</html>"} {
		if at := strings.LastIndex(strings.ToLower(c.HTML), tag); at >= 0 && len(strings.ToLower(c.HTML)) == len(c.HTML) {
			end = at
			break
		}
	}
	c.HTML = c.HTML[:end] + Marker(message) + c.HTML[end:]
	return c
}

func blank(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) }) < 0
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}
