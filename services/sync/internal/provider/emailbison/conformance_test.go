package emailbison_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/emailbison"
	"github.com/relance/relance/services/sync/internal/provider/mailtest"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) conformance.Bench {
		b := mailtest.Bench(t, provider.EmailBison, open)
		return b
	})
}

func open(t *testing.T, _ string) provider.Mail {
	t.Helper()
	client := emailbison.New(emailbison.Config{Timeout: conformance.Timeout})
	t.Cleanup(client.Close)
	return client
}
