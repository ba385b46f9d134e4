package classify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

func body(code, message string) []byte {
	return []byte(`{"statusCode":400,"message":"` + message + `","canonicalCode":"` + code + `","traceId":"t1"}`)
}

func TestClassify(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		in     classify.Evidence
		class  classify.Class
		reason sending.Reason
		flag   sending.ChannelStatus
	}{
		{"accepted", classify.Evidence{Status: 201, Body: []byte(`{"conversationId":"abc","messageId":"m1"}`)}, classify.Accepted, "", ""},
		{"email id only", classify.Evidence{Status: 200, Body: []byte(`{"emailMessageId":"m1"}`)}, classify.Accepted, "", ""},
		{"2xx without id", classify.Evidence{Status: 201, Body: []byte(`{}`)}, classify.Unknown, "", ""},
		{"2xx garbled", classify.Evidence{Status: 201, Body: []byte(`{"messageId":"m1`)}, classify.Unknown, "", ""},
		{"dial", classify.Evidence{NotSent: true}, classify.Retryable, sending.ProviderUnavailable, ""},
		{"reset", classify.Evidence{Failed: true}, classify.Unknown, "", ""},
		{"redirect", classify.Evidence{Status: 302}, classify.Unknown, "", ""},
		{"408", classify.Evidence{Status: 408}, classify.Unknown, "", ""},
		{"500", classify.Evidence{Status: 500, Body: body("", "Internal server error")}, classify.Unknown, "", ""},
		{"503 with dnd words", classify.Evidence{Status: 503, Body: body("", "dnd is active")}, classify.Unknown, "", ""},
		{"429", classify.Evidence{Status: 429, RetryAfter: "7"}, classify.Retryable, sending.ProviderRateLimited, ""},
		{"429 bare", classify.Evidence{Status: 429}, classify.Unknown, "", ""},
		{"429 search", classify.Evidence{Status: 429, RateLimited: true, Body: body("", "max_open_pit_context reached")}, classify.Unknown, "", ""},
		{"dnd by code", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_MSG_DND_ACTIVE_SMS", "Cannot send message as DND is active for SMS.")}, classify.Refused, sending.DNDActive, sending.DND},
		{"dnd email", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_MSG_DND_ACTIVE_EMAIL", "x")}, classify.Refused, sending.DNDActive, sending.DND},
		{"dnd by words", classify.Evidence{Status: 400, Body: body("", "Cannot send  message as DND is ACTIVE for SMS.")}, classify.Refused, sending.DNDActive, sending.DND},
		{"unsubscribed", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_MSG_UNSUBSCRIBED_SMS", "x")}, classify.Refused, sending.OptedOut, sending.Opted},
		{"unsubscribed words", classify.Evidence{Status: 400, Body: body("", "Cannot send message as +12025550123 has unsubscribed")}, classify.Refused, sending.OptedOut, sending.Opted},
		{"opted out 403", classify.Evidence{Status: 403, Body: body("", "Contact is opted out")}, classify.Refused, sending.OptedOut, sending.Opted},
		{"no phone 422", classify.Evidence{Status: 422, Body: body("CONVERSATIONS_MSG_NO_PHONE", "Missing phone number")}, classify.Refused, sending.NoPhone, ""},
		{"no email", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_MSG_NO_EMAIL", "x")}, classify.Refused, sending.NoEmail, ""},
		{"invalid email", classify.Evidence{Status: 400, Body: body("", "Unable to send e-mail, contact’s e-mail is invalid")}, classify.Refused, sending.InvalidEmail, ""},
		{"email to", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_MSG_INVALID_EMAILTO", "x")}, classify.Refused, sending.InvalidEmail, ""},
		{"country code", classify.Evidence{Status: 400, Body: body("", "Invalid country calling code")}, classify.Refused, sending.InvalidPhone, ""},
		{"no content", classify.Evidence{Status: 422, Body: body("CONVERSATIONS_MSG_NO_CONTENT", "x")}, classify.Refused, sending.EmptyContent, ""},
		{"window", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_MSG_CHAT_NO_LONGER_ACTIVE", "x")}, classify.Refused, sending.ChannelWindowClosed, ""},
		{"contact gone", classify.Evidence{Status: 400, Body: body("CONVERSATIONS_CONTACT_NOT_FOUND", "x")}, classify.Refused, sending.ContactNotFound, ""},
		{"location", classify.Evidence{Status: 400, Body: body("", "Location is not active")}, classify.Suspended, sending.LocationInactive, ""},
		{"provider access 401", classify.Evidence{Status: 401, Body: body("CONVERSATIONS_MSG_PROVIDER_NO_ACCESS", "x")}, classify.Refused, sending.RefusedUnclassified, ""},
		{"version header 401", classify.Evidence{Status: 401, Body: body("", "version header was not found.")}, classify.Refused, sending.RefusedUnclassified, ""},
		{"token", classify.Evidence{Status: 401, Body: body("", "Invalid JWT")}, classify.Suspended, sending.ProviderAuthRevoked, ""},
		{"forbidden", classify.Evidence{Status: 403, Body: body("", "The token does not have access to this location.")}, classify.Suspended, sending.ProviderAuthRevoked, ""},
		{"message list", classify.Evidence{Status: 422, Body: []byte(`{"message":["locationId can't be undefined"]}`)}, classify.Refused, sending.RefusedUnclassified, ""},
		{"unknown 400", classify.Evidence{Status: 400, Body: body("NEW", "something new")}, classify.Refused, sending.RefusedUnclassified, ""},
		{"html 404", classify.Evidence{Status: 404, Body: []byte(`<html>`)}, classify.Refused, sending.RefusedUnclassified, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.in.Channel = sending.SMS
			v := classify.Classify(c.in)
			if v.Class != c.class || v.Refusal.Reason != c.reason || v.Flag != c.flag {
				t.Errorf("verdict = %s %q flag %q, want %s %q flag %q", v.Class, v.Refusal.Reason, v.Flag, c.class, c.reason, c.flag)
			}
		})
	}
}

func TestOnlyTheExpiredTokenMayBeRefreshed(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"Invalid token: access token is invalid":           true,
		"Invalid JWT":                                      true,
		"Invalid Private Integration token":                true,
		"The token is not authorized for this scope.":      false,
		"Token's user type mismatch!":                      false,
		"The token does not have access to this location.": false,
		"This authClass type is not allowed to access this scope. Please verify your IAM configuration if this is not the case.": false,
		"version header was not found.": false,
	} {
		for _, status := range []int{401, 403} {
			v := classify.Classify(classify.Evidence{Status: status, Body: []byte(`{"message":"` + message + `"}`), Channel: sending.SMS})
			if got := v.TokenExpired; got != (want && status == 401) {
				t.Errorf("%d %q: token expired = %v", status, message, got)
			}
			if v.Class != classify.Suspended && message != "version header was not found." {
				t.Errorf("%d %q: class %s", status, message, v.Class)
			}
		}
	}
}

func FuzzClassifier(f *testing.F) {
	f.Add(400, "CONVERSATIONS_MSG_DND_ACTIVE_SMS", "Cannot send message as DND is active for SMS.", "", []byte(`{}`))
	f.Add(429, "", "point in time", "7", []byte(nil))
	f.Add(201, "", "", "", []byte(`{"messageId":"m"}`))
	f.Fuzz(func(t *testing.T, status int, code, message, retryAfter string, raw []byte) {
		for _, in := range [][]byte{raw, body(code, message)} {
			e := classify.Evidence{Status: status, Body: in, RetryAfter: retryAfter, Channel: sending.SMS}
			v := classify.Classify(e)
			switch v.Class {
			case classify.Retryable:
				if status != 429 {
					t.Errorf("retryable for status %d", status)
				}
				if v.Wait <= 0 || v.Wait > time.Hour {
					t.Errorf("wait %s", v.Wait)
				}
			case classify.Accepted:
				if status < 200 || status > 299 || v.MessageID == "" {
					t.Errorf("accepted with status %d and id %q", status, v.MessageID)
				}
			case classify.Refused, classify.Suspended:
				if status < 400 || status > 499 || v.Refusal.Reason == "" {
					t.Errorf("%s with status %d and reason %q", v.Class, status, v.Refusal.Reason)
				}
			case classify.Unknown:
			default:
				t.Errorf("class %q", v.Class)
			}
			if v.Class == classify.Retryable && strings.Contains(strings.ToLower(message), "dnd is active") {
				t.Error("a permanent refusal became retryable")
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "7", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := classify.RetryAfter(s); d < 0 || d > time.Hour {
			t.Errorf("RetryAfter(%q) = %s", s, d)
		}
	})
}
