package server

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
)

// mailConnection checks the connection of an email sender or of Calendly: a key, and nothing else but an instance's host. An instance of EmailBison is on a host that the caller names:
// https without a path; what it resolves to is judged when it is dialled. local admits plain http, for tests.
func (c *check) mailConnection(in *syncv1.Connection, kind provider.Kind, local bool) {
	c.secret("connection.token", in.GetToken())
	for field, value := range map[string]string{
		"connection.location": in.GetLocation(), "connection.oauth_code": in.GetOauthCode(), "connection.refresh_token": in.GetRefreshToken(),
		"connection.agency": in.GetAgency(),
	} {
		c.when(value != "", field, "is for ghl only")
	}
	if kind != provider.EmailBison {
		c.when(in.GetBaseUrl() != "", "connection.base_url", "is for emailbison only")
		return
	}
	base, err := exchange.CheckBase(in.GetBaseUrl())
	u, _ := url.Parse(base)
	switch {
	case err != nil || len(base) > 300 || u.Path != "":
		c.add("connection.base_url", "must be https://host, without a path")
	case !local:
		c.when(u.Scheme != "https" || (u.Port() != "" && u.Port() != "443"), "connection.base_url", "must be https on port 443")
	}
}

// mailAccount gives what the provider's limit is counted by, and the base URL. EmailBison counts by instance, the others by
// the owner of the key, of which there is a fingerprint: two workspaces with one key share its limit.
func mailAccount(in *syncv1.Connection) (location, base string) {
	if in.GetProvider() == string(provider.EmailBison) {
		base, _ = exchange.CheckBase(in.GetBaseUrl()) // checked before
		base = strings.ToLower(base)
		_, host, _ := strings.Cut(base, "://")
		return host, base
	}
	sum := sha256.Sum256([]byte(in.GetToken()))
	return "key-" + hex.EncodeToString(sum[:8]), ""
}
