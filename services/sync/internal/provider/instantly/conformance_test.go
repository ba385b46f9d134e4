package instantly_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/instantly"
	"github.com/relance/relance/services/sync/internal/provider/mailtest"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) conformance.Bench {
		b := mailtest.Bench(t, provider.Instantly, open)
		return b
	})
}

func open(t *testing.T, url string) provider.Mail {
	t.Helper()
	client, err := instantly.New(instantly.Config{BaseURL: url, Timeout: conformance.Timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
