package provider_test

import (
	"testing"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
)

// TestNotFound: a contact is taken for gone, and its lead unlinked, only on the provider's word about the contact.
func TestNotFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		want   bool
	}{
		{404, `{"message":"Contact not found"}`, true},
		{404, ``, true},
		{400, `{"message":"Contact not found for id:abc"}`, true},
		{400, `{"message":"Message does not exist with id abc"}`, true},
		{422, `{"message":["contact not found"]}`, true},
		{404, `{"message":"Cannot GET /contacts/abc"}`, false},
		{401, `{"statusCode":401,"message":"version header was not found."}`, false},
		{403, `{"message":"token does not exist for the location"}`, false},
		{429, `{"message":"quota not found"}`, false},
		{500, `{"message":"Contact not found"}`, false},
		{503, `upstream not found`, false},
		{400, `{"message":"limit should not exist"}`, false},
	} {
		e := provider.ReadFailed(classify.Evidence{Status: c.status, Body: []byte(c.body)})
		if got := e.NotFound(); got != c.want {
			t.Errorf("%d %s: not found = %t, want %t", c.status, c.body, got, c.want)
		}
	}
}
