// Package api calls the gateway as an operator does: REST with the admin secret, answers as protobuf messages.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/relance/relance/cmd/relance/internal/plain"
	"github.com/relance/relance/platform/config"
)

const (
	callTimeout = 60 * time.Second
	maxAnswer   = 32 << 20
)

// Flags are the flags of commands that call a running gateway.
type Flags struct {
	Gateway     string          `env:"RELANCE_GATEWAY_URL" default:"http://127.0.0.1:8080" help:"Base URL of the gateway to call."`
	AdminSecret []config.Secret `env:"RELANCE_ADMIN_SECRET" required:"" help:"Admin secret of the gateway, or @file; of several the first is used."`
}

// Client calls a gateway. It is safe for concurrent use.
type Client struct {
	base, secret string
	http         *http.Client
}

// New makes a client.
func New(f Flags) *Client {
	c := &Client{base: strings.TrimSuffix(f.Gateway, "/"), http: &http.Client{Timeout: callTimeout}}
	if len(f.AdminSecret) > 0 {
		c.secret = f.AdminSecret[0].Reveal()
	}
	return c
}

// Get reads path with its query into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out proto.Message) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post sends in, which may be nil, and reads the answer into out.
func (c *Client) Post(ctx context.Context, path string, in, out proto.Message) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

// Patch sends in with the query and reads the answer into out.
func (c *Client) Patch(ctx context.Context, path string, query url.Values, in, out proto.Message) error {
	return c.call(ctx, http.MethodPatch, path+"?"+query.Encode(), in, out)
}

// Stream posts in and calls each for every message of the answer, which next makes.
func (c *Client) Stream(ctx context.Context, path string, in proto.Message, each func(raw json.RawMessage) error) error {
	long := *c
	long.http = &http.Client{} // it may take longer than a call; the gateway and ctx bound it
	resp, err := long.send(ctx, http.MethodPost, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	decoder := json.NewDecoder(resp.Body)
	for {
		var part struct {
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		err := decoder.Decode(&part)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read stream of %s: %w", path, err)
		case part.Error != nil:
			return fmt.Errorf("%s: %s", path, plain.Line(message(part.Error)))
		}
		if err := each(part.Result); err != nil {
			return err
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, in, out proto.Message) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, out); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in proto.Message) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		raw, err := protojson.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", path, err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the gateway: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, plain.Line(message(raw)))
}

// message is the message of an error answer, or the answer itself.
func message(raw []byte) string {
	var status struct {
		Message string `json:"message"`
		Error   *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(raw, &status) == nil {
		if status.Error != nil && status.Error.Message != "" {
			return status.Error.Message
		}
		if status.Message != "" {
			return status.Message
		}
	}
	return strings.TrimSpace(string(raw))
}
