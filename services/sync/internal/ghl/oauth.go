package ghl

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/token"
)

// tokenTimeout bounds one call of the token endpoint; two of them fit into a refresh lease.
const tokenTimeout = 8 * time.Second

// OAuth speaks to the token endpoint as one marketplace app. It is safe for concurrent use.
type OAuth struct {
	base     string
	clientID string
	secret   redact.Secret
	http     *exchange.Client
}

var _ token.OAuth = (*OAuth)(nil)

// OAuthConfig names the marketplace app.
type OAuthConfig struct {
	// BaseURL is the API host.
	BaseURL string
	// ClientID and ClientSecret are the app's; both or neither.
	ClientID     string
	ClientSecret redact.Secret
}

// NewOAuth makes the app's client.
func NewOAuth(cfg OAuthConfig) (*OAuth, error) {
	base, err := exchange.CheckBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("ghl: %w", err)
	}
	return &OAuth{base: base, clientID: cfg.ClientID, secret: cfg.ClientSecret, http: exchange.New(tokenTimeout)}, nil
}

// App is the client id.
func (o *OAuth) App() string { return o.clientID }

// Close ends idle connections.
func (o *OAuth) Close() { o.http.Close() }

// Exchange turns an authorization code into tokens. It works once per code.
func (o *OAuth) Exchange(ctx context.Context, code, redirectURI string) (token.Tokens, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}}
	if redirectURI != "" {
		form.Set("redirect_uri", redirectURI)
	}
	form.Set("user_type", userLocation) // An agency's install answers with a token of type Company all the same.
	return o.granted(ctx, form)
}

// Refresh spends a refresh token. The provider answers repeats within 30 s with the same pair.
func (o *OAuth) Refresh(ctx context.Context, refresh redact.Secret, agency bool) (token.Tokens, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}, "user_type": {userLocation}}
	if agency {
		form.Set("user_type", userCompany)
	}
	return o.granted(ctx, form)
}

// Kinds of users that a token speaks for.
const (
	userLocation = "Location"
	userCompany  = "Company"
)

func (o *OAuth) granted(ctx context.Context, form url.Values) (token.Tokens, error) {
	form.Set("client_id", o.clientID)
	form.Set("client_secret", o.secret.Reveal())
	a, body := o.post(ctx, "/oauth/token", form, nil)
	switch {
	case a.Failed || a.NotSent:
		return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer}
	case a.Status < 200 || a.Status > 299:
		return token.Tokens{}, &token.AnswerError{Kind: refusalKind(a.Status, body.words()), Status: a.Status}
	case body.AccessToken == "" || body.RefreshToken == "" || body.ExpiresIn <= 0:
		return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer, Status: a.Status}
	}
	out := body.tokens()
	if strings.EqualFold(body.UserType, userCompany) {
		if out.Company, out.Location = body.CompanyID, ""; out.Company == "" {
			return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer, Status: a.Status}
		}
	}
	return out, nil
}

// Mint makes a location's token with an agency's access token. Asking twice makes two tokens, both good.
func (o *OAuth) Mint(ctx context.Context, access redact.Secret, company, location string) (token.Tokens, error) {
	a, body := o.post(ctx, "/oauth/locationToken", url.Values{"companyId": {company}, "locationId": {location}}, map[string]string{
		"Authorization": "Bearer " + access.Reveal(), "Version": versionContacts,
	})
	switch {
	case a.Failed || a.NotSent:
		return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer}
	case a.Status < 200 || a.Status > 299:
		return token.Tokens{}, &token.AnswerError{Kind: mintRefusal(a.Status, strings.ToLower(body.words())), Status: a.Status}
	case body.AccessToken == "" || body.ExpiresIn <= 0 || (body.LocationID != "" && body.LocationID != location):
		return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer, Status: a.Status}
	}
	return body.tokens(), nil
}

// tokenAnswer is what the token endpoints say, tokens or not.
type tokenAnswer struct {
	AccessToken  string          `json:"access_token"`
	RefreshToken string          `json:"refresh_token"`
	ExpiresIn    float64         `json:"expires_in"`
	LocationID   string          `json:"locationId"`
	CompanyID    string          `json:"companyId"`
	UserType     string          `json:"userType"`
	Message      json.RawMessage `json:"message"`
	Description  string          `json:"error_description"`
}

func (b tokenAnswer) words() string { return string(b.Message) + " " + b.Description }

func (b tokenAnswer) tokens() token.Tokens {
	return token.Tokens{
		Access: redact.Secret(b.AccessToken), Refresh: redact.Secret(b.RefreshToken), Location: b.LocationID,
		Life: time.Duration(min(b.ExpiresIn, (30*24*time.Hour).Seconds()) * float64(time.Second)),
	}
}

// post sends a form; an answer that cannot be read is as one without words.
func (o *OAuth) post(ctx context.Context, path string, form url.Values, header map[string]string) (exchange.Answer, tokenAnswer) {
	headers := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	maps.Copy(headers, header)
	a := o.http.Write(ctx, exchange.Request{Method: http.MethodPost, URL: o.base + path, Body: []byte(form.Encode()), Header: headers})
	var body tokenAnswer
	if json.Unmarshal(a.Body, &body) != nil {
		body = tokenAnswer{}
	}
	return a, body
}

// mintRefusal judges a refused location token. That the location is not the agency's, or not installed, is for a person.
func mintRefusal(status int, text string) token.AnswerKind {
	kind := refusalKind(status, text)
	switch {
	case kind != token.Misconfigured:
		return kind
	case status == http.StatusUnauthorized && (strings.Contains(text, "invalid jwt") || strings.Contains(text, "access token is invalid") || strings.Contains(text, "expired")):
		return token.Expired
	case status == http.StatusForbidden, status == http.StatusNotFound, strings.Contains(text, "not installed"), strings.Contains(text, "location not found"):
		return token.Refused
	default:
		return kind
	}
}

// refusalKind judges a refusal of the token endpoint. Only words that speak of the grant itself end a refresh token: wrong
// client credentials and a provider in trouble do not.
func refusalKind(status int, text string) token.AnswerKind {
	text = strings.ToLower(text)
	switch {
	case status < 400 || status > 499 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests:
		return token.NoAnswer
	case strings.Contains(text, "location is not active"):
		return token.Inactive
	case strings.Contains(text, "invalid grant"), strings.Contains(text, "refresh token is invalid"), strings.Contains(text, "code not found"):
		return token.Refused
	default:
		return token.Misconfigured
	}
}
