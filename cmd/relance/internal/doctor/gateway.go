package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

type workspace struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	Disabled    bool   `json:"sendingDisabled"`
}

type workspacePage struct {
	Workspaces    []workspace `json:"workspaces"`
	NextPageToken string      `json:"nextPageToken"`
}

type connectionAnswer struct {
	Connection struct {
		State           string `json:"state"`
		LastWebhookTime string `json:"lastWebhookTime"`
	} `json:"connection"`
}

type problem struct {
	Message string `json:"message"`
	Details []struct {
		Reason string `json:"reason"`
	} `json:"details"`
}

func (p problem) reason() string {
	for _, d := range p.Details {
		if d.Reason != "" {
			return d.Reason
		}
	}
	return p.Message
}

func (e *examination) gateway(ctx context.Context) {
	if e.opts.Gateway == "" {
		e.add("skip", "gateway", "no --gateway given", "")
		return
	}
	status, _, err := e.get(ctx, "/readyz", nil)
	switch {
	case err != nil:
		e.add("FAIL", "gateway", "does not answer", "start it, or correct --gateway")
		return
	case status != http.StatusOK:
		e.add("FAIL", "gateway", fmt.Sprintf("/readyz answers %d", status), "see its body for the service that is not ready, and that service's log")
	default:
		e.add("ok", "gateway", "ready, with all three services", "")
	}
	if e.opts.AdminSecret == "" {
		e.add("skip", "workspaces", "no --admin-secret given", "")
		return
	}
	e.availability(ctx)
	e.workspaces(ctx)
}

func (e *examination) workspaces(ctx context.Context) {
	for token := ""; ; {
		var page workspacePage
		status, reason, err := e.get(ctx, "/v1/workspaces?pageSize=500&pageToken="+url.QueryEscape(token), &page)
		if err != nil || status != http.StatusOK {
			e.add("FAIL", "workspaces", fmt.Sprintf("cannot be listed: %d %s", status, reason), "check --admin-secret")
			return
		}
		for _, w := range page.Workspaces {
			e.workspace(ctx, w)
		}
		if token = page.NextPageToken; token == "" {
			return
		}
	}
}

func (e *examination) workspace(ctx context.Context, w workspace) {
	label := w.DisplayName + " (" + w.Name + ")"
	if w.Disabled {
		e.add("warn", label, "sending is switched off", "clear sendingDisabled when that is no longer wanted")
	}
	var connection connectionAnswer
	status, reason, err := e.get(ctx, "/v1/"+w.Name+"/connections/ghl?probe=true", &connection)
	switch {
	case err != nil || status != http.StatusOK:
		e.add("FAIL", label+": connection", reason, "set one: PUT /v1/"+w.Name+"/connections/ghl with location and token")
	case connection.Connection.State != "CONNECTION_STATE_CONNECTED":
		e.add("FAIL", label+": connection", connection.Connection.State, "reconnect: make a new private integration token in GHL and set it")
	default:
		e.add("ok", label+": connection", "GHL answers", "")
	}
	if last := connection.Connection.LastWebhookTime; last == "" {
		e.add("warn", label+": webhooks", "none has ever arrived", "point the app's webhook URL, or the workflow's webhook action with its secret, at the gateway")
	} else {
		e.add("ok", label+": webhooks", "last at "+last, "")
	}
	status, reason, err = e.get(ctx, "/v1/"+w.Name+"/slots", nil)
	switch {
	case err != nil:
		e.add("FAIL", label+": calendar", "does not answer", "see the log of availability")
	case status == http.StatusOK:
		e.add("ok", label+": calendar", "slots can be read", "")
	case reason == "NO_DEFAULT_CALENDAR":
		e.add("warn", label+": calendar", "no default calendar link", "POST /v1/"+w.Name+"/calendarLinks, or :setDefault on one that exists")
	default:
		e.add("FAIL", label+": calendar", reason, "see docs/errors.md for "+reason)
	}
}

// get answers the status, the reason of a refusal, and decodes a success into target.
func (e *examination) get(ctx context.Context, path string, target any) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.opts.Gateway+path, nil)
	if err != nil {
		return 0, "", fmt.Errorf("ask gateway: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+e.opts.AdminSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("ask gateway: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return resp.StatusCode, "", fmt.Errorf("ask gateway: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var p problem
		_ = json.Unmarshal(raw, &p)
		return resp.StatusCode, p.reason(), nil
	}
	if target != nil {
		if err := json.Unmarshal(raw, target); err != nil {
			return resp.StatusCode, "", fmt.Errorf("ask gateway: %w", err)
		}
	}
	return resp.StatusCode, "", nil
}
