package server

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
)

// check collects the violations of a request, so that all are reported at once.
type check struct{ violations []apierr.FieldViolation }

func (c *check) add(field, description string) {
	c.violations = append(c.violations, apierr.FieldViolation{Field: field, Description: description})
}

func (c *check) when(bad bool, field, description string) {
	if bad {
		c.add(field, description)
	}
}

func (c *check) err() error {
	if len(c.violations) == 0 {
		return nil
	}
	return apierr.Invalid(c.violations...)
}

// id reads a canonical UUID.
func (c *check) id(field, text string) uuid.UUID { //nolint:unparam // every request so far calls it request_id
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		c.add(field, "must be a lower-case UUID")
		return uuid.Nil
	}
	return id
}

// workspace reads "workspaces/{uuid}".
func (c *check) workspace(field, name string) uuid.UUID {
	text, ok := strings.CutPrefix(name, "workspaces/")
	id, err := uuid.Parse(text)
	if !ok || err != nil || id.String() != text {
		c.add(field, "must be workspaces/{uuid}")
		return uuid.Nil
	}
	return id
}

// child reads "workspaces/{uuid}/{collection}/{uuid}".
func (c *check) child(field, name, collection string) (workspace, id uuid.UUID) {
	parts := strings.Split(name, "/")
	if len(parts) == 4 && parts[0] == "workspaces" && parts[2] == collection {
		w, err1 := uuid.Parse(parts[1])
		i, err2 := uuid.Parse(parts[3])
		if err1 == nil && err2 == nil && w.String() == parts[1] && i.String() == parts[3] {
			return w, i
		}
	}
	c.add(field, "must be workspaces/{uuid}/"+collection+"/{uuid}")
	return uuid.Nil, uuid.Nil
}

func (c *check) time(field string, t *timestamppb.Timestamp, required bool) *time.Time {
	if t == nil {
		c.when(required, field, "is required")
		return nil
	}
	if err := t.CheckValid(); err != nil {
		c.add(field, "is not a valid time")
		return nil
	}
	out := t.AsTime()
	return &out
}

const (
	defaultPage = 50
	maxPage     = 500
)

// page reads the paging fields. scope names the list and its parent; a token of another list is refused.
func (c *check) page(scope string, size int32, token string) (int32, uuid.UUID) {
	c.when(size < 0 || size > maxPage, "page_size", "must be 0 to 500")
	if size == 0 {
		size = defaultPage
	}
	if token == "" {
		return size, uuid.Nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	text, ok := strings.CutPrefix(string(raw), scope+"|")
	id, parseErr := uuid.Parse(text)
	if err != nil || !ok || parseErr != nil {
		c.add("page_token", "is not a token of this list")
		return size, uuid.Nil
	}
	return size, id
}

func pageToken(scope string, last uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(scope + "|" + last.String()))
}

// before turns the position of a newest-first list into its exclusive bound.
func before(id uuid.UUID) uuid.UUID {
	if id == uuid.Nil {
		return uuid.Max
	}
	return id
}

func workspaceName(id uuid.UUID) string { return "workspaces/" + id.String() }

func leadName(workspace, id uuid.UUID) string {
	return workspaceName(workspace) + "/leads/" + id.String()
}

func messageName(workspace, id uuid.UUID) string {
	return workspaceName(workspace) + "/messages/" + id.String()
}
