package classify_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

func TestClassifyMail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		provider string
		status   int
		body     string
		class    classify.Class
		reason   sending.Reason
		flag     sending.ChannelStatus
		id       string
	}{
		"bison taken":                 {"emailbison", 200, `{"data":{"reply":{"id":7}}}`, classify.Accepted, "", "", "emailbison:reply:7"},
		"bison taken, flat":           {"emailbison", 201, `{"reply":{"id":"7"}}`, classify.Accepted, "", "", "emailbison:reply:7"},
		"bison no id":                 {"emailbison", 200, `{"data":{"success":true}}`, classify.Unknown, "", "", ""},
		"bison garbled":               {"emailbison", 200, `{"data":{"reply":{"id":7}`, classify.Unknown, "", "", ""},
		"bison id that cannot be one": {"emailbison", 200, `{"data":{"reply":{"id":{"a":1}}}}`, classify.Unknown, "", "", ""},
		"instantly taken":             {"instantly", 200, `{"id":"a-b"}`, classify.Accepted, "", "", "instantly:sent:a-b"},
		"instantly null id":           {"instantly", 200, `{"id":null}`, classify.Unknown, "", "", ""},
		"smartlead says ok":           {"smartlead", 200, `{"ok":true,"id":5}`, classify.Unknown, "", "", ""},
		"unsubscribed 403":            {"smartlead", 403, `{"error":{"message":"Lead has unsubscribed"}}`, classify.Refused, sending.OptedOut, sending.Opted, ""},
		"unsubscribed 404":            {"instantly", 404, `{"message":"Lead unsubscribed"}`, classify.Refused, sending.OptedOut, sending.Opted, ""},
		"unsubscribed 429":            {"instantly", 429, `{"message":"Lead unsubscribed"}`, classify.Refused, sending.OptedOut, sending.Opted, ""},
		"blacklisted by code":         {"smartlead", 400, `{"error":{"code":"IS_BLACKLISTED"}}`, classify.Refused, sending.OptedOut, sending.Opted, ""},
		"unsubscribed 500":            {"emailbison", 500, `{"message":"Lead has unsubscribed"}`, classify.Unknown, "", "", ""},
		"bounced":                     {"emailbison", 422, `{"data":{"message":"Recipient has bounced"}}`, classify.Refused, sending.InvalidEmail, "", ""},
		"key":                         {"emailbison", 401, `{"message":"Unauthenticated."}`, classify.Suspended, sending.ProviderAuthRevoked, "", ""},
		"forbidden":                   {"instantly", 403, `{"message":"missing scope"}`, classify.Suspended, sending.ProviderAuthRevoked, "", ""},
		"unpaid":                      {"instantly", 402, `{"message":"no active paid plan"}`, classify.Suspended, sending.LocationInactive, "", ""},
		"email gone":                  {"emailbison", 404, `{"data":{"message":"Record not found."}}`, classify.Refused, sending.NoReplyTarget, "", ""},
		"404 of a proxy":              {"emailbison", 404, `<html>`, classify.Refused, sending.RefusedUnclassified, "", ""},
		"429 in words":                {"smartlead", 429, `{"error":{"message":"Too many requests"}}`, classify.Retryable, sending.ProviderRateLimited, "", ""},
		"429 of a proxy":              {"smartlead", 429, `<html>`, classify.Unknown, "", "", ""},
		"408":                         {"smartlead", 408, `{"message":"timeout"}`, classify.Unknown, "", "", ""},
		"redirect":                    {"emailbison", 302, ``, classify.Unknown, "", "", ""},
		"list of words":               {"instantly", 400, `{"message":["subject is required"]}`, classify.Refused, sending.RefusedUnclassified, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := classify.Classify(classify.Evidence{Provider: c.provider, Channel: sending.Email, Status: c.status, Body: []byte(c.body)})
			if v.Class != c.class || v.Refusal.Reason != c.reason || v.Flag != c.flag || v.MessageID != c.id {
				t.Errorf("verdict = %+v, want %s %q flag %q id %q", v, c.class, c.reason, c.flag, c.id)
			}
			if v.Class == classify.Retryable && v.Wait <= 0 {
				t.Errorf("wait = %s", v.Wait)
			}
		})
	}
}
