package simulator

import (
	"net/http"
)

// An agency's token opens no location: it mints the locations' tokens.

// IssueAgencyCode returns an authorization code of an agency's install: POST /oauth/token exchanges it for a token of type
// Company. The agency's locations are those with its CompanyID.
func (s *Simulator) IssueAgencyCode(company string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.world.locations {
		if l.CompanyID == company {
			code := newID()
			s.world.codes[code] = rotation{company: company}
			return code, nil
		}
	}
	return "", ErrNoLocation
}

// ExpireAgencyTokens ends the access tokens of an agency, as time does; its refresh token stays.
func (s *Simulator) ExpireAgencyTokens(company string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, g := range s.world.tokens {
		if g.company == company {
			g.end = s.now()
			s.world.tokens[token] = g
		}
	}
}

// UninstallAgency does what removing the app from the agency does: its tokens and those minted with them end.
func (s *Simulator) UninstallAgency(company string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, g := range s.world.tokens {
		l := s.world.locations[g.location]
		if g.company == company || (l != nil && l.CompanyID == company && !g.end.IsZero()) {
			delete(s.world.tokens, token)
		}
	}
	for token, r := range s.world.refresh {
		if r.company == company {
			delete(s.world.refresh, token)
		}
	}
}

// Reinstall puts the app back on a location that Uninstall took it from.
func (s *Simulator) Reinstall(location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.world.uninstalled, location)
}

// mintToken is POST /oauth/locationToken: 201 with a location's token, which has no refresh token.
func (s *Simulator) mintToken(c *call) answer {
	form := parseTokenForm(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.world.tokens[bearer(c.header)]
	l := s.world.locations[form["location_id"]]
	switch {
	case !ok || g.expired(c.at):
		return refuse(http.StatusUnauthorized, "Invalid JWT")
	case g.company == "":
		return refuse(http.StatusUnauthorized, authClass)
	case form["company_id"] != g.company:
		return refuse(http.StatusForbidden, "The token does not have access to this company.")
	case l == nil || l.CompanyID != g.company || s.world.uninstalled[l.ID]:
		return refuse(http.StatusBadRequest, "The app is not installed on this location")
	case l.Inactive:
		return refuse(http.StatusBadRequest, "Location is not active")
	}
	c.location = l.ID
	access := "access-" + newID() + newID()
	s.world.tokens[access] = grant{location: l.ID, end: c.at.Add(s.life)}
	return reply(http.StatusCreated, object{
		"access_token": access, "token_type": "Bearer", "expires_in": int(s.life.Seconds()), "scope": tokenScope, "locationId": l.ID,
		"userId": "user" + l.ID,
	})
}

// authClass is how a token of the wrong kind is refused.
const authClass = "This authClass type is not allowed to access this scope. Please verify your IAM configuration if this is not the case."
