package smartlead_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/mailtest"
	"github.com/relance/relance/services/sync/internal/provider/smartlead"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) conformance.Bench {
		b := mailtest.Bench(t, provider.Smartlead, open)
		b.Nameless = true
		return b
	})
}

func open(t *testing.T, url string) provider.Mail {
	t.Helper()
	client, err := smartlead.New(smartlead.Config{BaseURL: url + "/api/v1", Timeout: conformance.Timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
