package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// accessLife is how long an access token lives unless Config.AccessLife says otherwise; expires_in says so in seconds.
const accessLife = 86_399 * time.Second

// refreshGrace is how long a spent refresh token still answers with the same new one.
const refreshGrace = 30 * time.Second

// refreshLife is how long an unused refresh token lives.
const refreshLife = 365 * 24 * time.Hour

// grant is what an access token opens. A zero end never expires.
type grant struct {
	// location or company is what it opens.
	location     string
	company      string
	end          time.Time
	revokedScope bool
}

func (g grant) expired(now time.Time) bool { return !g.end.IsZero() && !now.Before(g.end) }

// rotation is a refresh token; once spent it remembers what it was exchanged for.
type rotation struct {
	// location or company is whose it is.
	location string
	company  string
	end      time.Time
	spentAt  time.Time
	// uses counts the exchanges, repeats within the grace too.
	uses            int
	access, refresh string
}

// ExpireTokens ends the access tokens of a location, as time does; its refresh tokens stay.
func (s *Simulator) ExpireTokens(location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, g := range s.world.tokens {
		if g.location == location && !g.end.IsZero() {
			g.end = s.now()
			s.world.tokens[token] = g
		}
	}
}

// Uninstall does what removing the app from a location does: its tokens end, none is minted, a private token stays.
func (s *Simulator) Uninstall(location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.uninstalled[location] = true
	for token, g := range s.world.tokens {
		if g.location == location && !g.end.IsZero() {
			delete(s.world.tokens, token)
		}
	}
	for token, r := range s.world.refresh {
		if r.location == location {
			delete(s.world.refresh, token)
		}
	}
}

// IssueCode returns an authorization code that POST /oauth/token exchanges once.
func (s *Simulator) IssueCode(location string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world.locations[location] == nil {
		return "", ErrNoLocation
	}
	code := newID()
	s.world.codes[code] = rotation{location: location}
	delete(s.world.uninstalled, location)
	return code, nil
}

// RevokeTokens kills every access and refresh token of a location, the private one too.
func (s *Simulator) RevokeTokens(location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, g := range s.world.tokens {
		if g.location == location {
			delete(s.world.tokens, token)
		}
	}
	for token, r := range s.world.refresh {
		if r.location == location {
			delete(s.world.refresh, token)
		}
	}
}

// RestrictTokens makes a location's tokens answer 401 for a missing scope, which a
// refresh does not heal; false lifts it.
func (s *Simulator) RestrictTokens(location string, restricted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, g := range s.world.tokens {
		if g.location == location {
			g.revokedScope = restricted
			s.world.tokens[token] = g
		}
	}
}

// RefreshUses counts how often each refresh token of a location that was spent at all was exchanged.
func (s *Simulator) RefreshUses(location string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int
	for _, r := range s.world.refresh {
		if r.location == location && r.uses > 0 {
			out = append(out, r.uses)
		}
	}
	return out
}

// oauthToken is POST /oauth/token: form, or JSON with camelCase keys as in v3.
func (s *Simulator) oauthToken(c *call) answer {
	form := parseTokenForm(c)
	for _, key := range []string{"client_id", "client_secret", "grant_type"} {
		if form[key] == "" {
			return refuse(http.StatusBadRequest, "Missing parameter: `"+key+"`")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch form["grant_type"] {
	case "refresh_token":
		return s.rotate(c, form["refresh_token"])
	case "authorization_code":
		granted, known := s.world.codes[form["code"]]
		if !known {
			body := encode(object{"error": "UnAuthorized!", "error_description": "Authorization code not found"})
			return answer{status: http.StatusUnauthorized, body: body, refusal: "Authorization code not found"}
		}
		delete(s.world.codes, form["code"])
		c.location = granted.location
		return s.issueTokens(c, &granted)
	default:
		return refuse(http.StatusBadRequest, "Invalid parameter: `grant_type`")
	}
}

// rotate spends a refresh token. Within the grace a repeat gives the same pair; later
// it is refused. A paused location is refused without spending it.
func (s *Simulator) rotate(c *call, token string) answer {
	r := s.world.refresh[token]
	dead := r == nil || (!r.end.IsZero() && !c.at.Before(r.end)) ||
		(!r.spentAt.IsZero() && c.at.Sub(r.spentAt) > refreshGrace)
	if dead {
		return refuse(http.StatusBadRequest, "Invalid grant: refresh token is invalid")
	}
	c.location = r.location
	if l := s.world.locations[r.location]; l != nil && l.Inactive {
		return refuse(http.StatusBadRequest, "Location is not active")
	}
	return s.issueTokens(c, r)
}

const tokenScope = "conversations.readonly conversations.write conversations/message.readonly conversations/message.write contacts.readonly contacts.write calendars.readonly locations.readonly"

func (s *Simulator) issueTokens(c *call, r *rotation) answer {
	r.uses++
	if r.spentAt.IsZero() {
		r.spentAt, r.access, r.refresh = c.at, "access-"+newID()+newID(), "refresh-"+newID()+newID()
		s.world.tokens[r.access] = grant{location: r.location, company: r.company, end: c.at.Add(s.life)}
		s.world.refresh[r.refresh] = &rotation{location: r.location, company: r.company, end: c.at.Add(refreshLife)}
	}
	body := object{
		"access_token": r.access, "token_type": "Bearer", "expires_in": int(s.life / time.Second), "refresh_token": r.refresh, "scope": tokenScope,
	}
	if l := s.world.locations[r.location]; l != nil {
		body["userType"], body["locationId"], body["companyId"], body["userId"] = "Location", l.ID, l.CompanyID, "user"+l.ID
	} else {
		body["userType"], body["companyId"], body["userId"], body["isBulkInstallation"] = "Company", r.company, "user"+r.company, true
	}
	if c.header.Get("Version") == "v3" {
		body = camelKeys(body)
	}
	return reply(http.StatusOK, body)
}

func parseTokenForm(c *call) map[string]string {
	out := map[string]string{}
	if strings.HasPrefix(c.header.Get("Content-Type"), "application/json") {
		var body map[string]any
		if json.Unmarshal(c.body, &body) != nil {
			return out
		}
		for key, value := range body {
			if s, ok := value.(string); ok {
				out[snake(key)] = s
			}
		}
		return out
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return out
	}
	for key := range form {
		out[snake(key)] = form.Get(key)
	}
	return out
}

// snake turns clientId into client_id.
func snake(key string) string {
	var out strings.Builder
	for _, r := range key {
		if r >= 'A' && r <= 'Z' {
			out.WriteByte('_')
			r += 'a' - 'A'
		}
		out.WriteRune(r)
	}
	return out.String()
}

func camelKeys(body object) object {
	out := object{}
	for key, value := range body {
		words := strings.Split(key, "_")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		out[strings.Join(words, "")] = value
	}
	return out
}
