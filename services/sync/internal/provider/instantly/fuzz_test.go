package instantly_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/instantly"
	"github.com/relance/relance/services/sync/internal/provider/mailtest"
)

// FuzzInstantlySent reads answers of any kind as the list of sent emails.
func FuzzInstantlySent(f *testing.F) {
	mailtest.FuzzSent(f, provider.Instantly, func(url string) provider.Mail {
		client, err := instantly.New(instantly.Config{BaseURL: url, Timeout: conformance.Timeout})
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(client.Close)
		return client
	}, `{"items":[{"id":"i","ue_type":3,"body":{"html":"<p>hi</p>"},"timestamp_created":"2026-01-07T12:00:00Z"}],"next_starting_after":"2"}`,
		`{"items":[{"ue_type":3},{"id":"x","ue_type":1},null],"next_starting_after":""}`, `{"items":[],"next_starting_after":"2"}`)
}
