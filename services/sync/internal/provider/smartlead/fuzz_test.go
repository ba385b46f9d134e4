package smartlead_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/mailtest"
	"github.com/relance/relance/services/sync/internal/provider/smartlead"
)

// FuzzSmartleadSent reads answers of any kind as the list of sent emails.
func FuzzSmartleadSent(f *testing.F) {
	mailtest.FuzzSent(f, provider.Smartlead, func(url string) provider.Mail {
		client, err := smartlead.New(smartlead.Config{BaseURL: url + "/api/v1", Timeout: conformance.Timeout})
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(client.Close)
		return client
	}, `{"history":[{"stats_id":"s","type":"SENT","message_id":"<m>","time":"2026-01-07T12:00:00Z","email_body":"<p>hi</p>","email_seq_number":"1"}]}`,
		`{"history":[{"type":"SENT"},{"type":"REPLY","stats_id":"s"},null]}`, `{"history":[{"type":"sent","stats_id":7}]}`)
}
