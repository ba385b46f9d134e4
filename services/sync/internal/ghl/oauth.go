package ghl

import (
	"context"
	"encoding/json"
	"fmt"
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
	return o.ask(ctx, form)
}

// Refresh spends a refresh token. The provider answers repeats within 30 s with the same pair.
func (o *OAuth) Refresh(ctx context.Context, refresh redact.Secret) (token.Tokens, error) {
	return o.ask(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}})
}

func (o *OAuth) ask(ctx context.Context, form url.Values) (token.Tokens, error) {
	form.Set("client_id", o.clientID)
	form.Set("client_secret", o.secret.Reveal())
	form.Set("user_type", "Location")
	a := o.http.Write(ctx, exchange.Request{
		Method: http.MethodPost, URL: o.base + "/oauth/token", Body: []byte(form.Encode()),
		Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
	})
	if a.Failed || a.NotSent {
		return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer}
	}
	var body struct {
		AccessToken  string          `json:"access_token"`
		RefreshToken string          `json:"refresh_token"`
		ExpiresIn    float64         `json:"expires_in"`
		LocationID   string          `json:"locationId"`
		UserType     string          `json:"userType"`
		Message      json.RawMessage `json:"message"`
		Description  string          `json:"error_description"`
	}
	parsed := json.Unmarshal(a.Body, &body) == nil
	if a.Status >= 200 && a.Status <= 299 {
		if !parsed || body.AccessToken == "" || body.RefreshToken == "" || body.ExpiresIn <= 0 {
			return token.Tokens{}, &token.AnswerError{Kind: token.NoAnswer, Status: a.Status}
		}
		return token.Tokens{
			Access: redact.Secret(body.AccessToken), Refresh: redact.Secret(body.RefreshToken), Location: body.LocationID,
			Life: min(time.Duration(body.ExpiresIn)*time.Second, 30*24*time.Hour), Company: strings.EqualFold(body.UserType, "Company"),
		}, nil
	}
	return token.Tokens{}, &token.AnswerError{Kind: refusalKind(a.Status, string(body.Message)+" "+body.Description), Status: a.Status}
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
