package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client speaks to the gateway as an operator, a cron caller and nobody.
type client struct {
	base, cron, admin string
	http              *http.Client
}

// object is a decoded JSON object.
type object map[string]any

func (o object) text(key string) string { s, _ := o[key].(string); return s }

func (o object) number(key string) int { n, _ := o[key].(float64); return int(n) }

func (o object) object(key string) object { m, _ := o[key].(map[string]any); return m }

func (o object) list(key string) []object {
	items, _ := o[key].([]any)
	out := make([]object, 0, len(items))
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// api calls a /v1 or admin route.
func (c *client) api(ctx context.Context, method, path string, body any) (object, error) {
	return c.call(ctx, method, path, c.admin, body)
}

// tick calls a cron route.
func (c *client) tick(ctx context.Context, job string) (object, error) {
	return c.call(ctx, http.MethodPost, "/api/cron/"+job, c.cron, nil)
}

func (c *client) call(ctx context.Context, method, path, secret string, body any) (object, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode body of %s: %w", path, err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("call %s %s: status %d: %s", method, path, resp.StatusCode, raw)
	}
	var out object
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("call %s: the answer is no JSON object: %w", path, err)
	}
	return out, nil
}

// all reads every page of a list.
func (c *client) all(ctx context.Context, path, field string) ([]object, error) {
	var out []object
	for token := ""; ; {
		page, err := c.api(ctx, http.MethodGet, path+"?pageSize=500&pageToken="+token, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, page.list(field)...)
		if token = page.text("nextPageToken"); token == "" {
			return out, nil
		}
	}
}

// eventually asks until ok, bounded.
func eventually(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, err := ok()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: it did not happen in 30 s", what)
		case <-ticker.C:
		}
	}
}
