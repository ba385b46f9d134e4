package emailbison_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/emailbison"
	"github.com/relance/relance/services/sync/internal/provider/mailtest"
)

// FuzzEmailBisonSent reads answers of any kind as the list of sent emails.
func FuzzEmailBisonSent(f *testing.F) {
	mailtest.FuzzSent(f, provider.EmailBison, func(string) provider.Mail {
		client := emailbison.New(emailbison.Config{Timeout: conformance.Timeout})
		f.Cleanup(client.Close)
		return client
	}, `{"data":[{"id":9,"html_body":"<p>hi</p>","date_received":"2026-01-07T12:00:00Z"}],"meta":{"current_page":1,"last_page":2}}`,
		`{"data":[{}],"meta":{"current_page":1,"last_page":1}}`, `{"data":[{"id":"9"},null],"meta":{"current_page":2,"last_page":3}}`)
}
