package server

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
)

const (
	defaultPage, maxPage = 50, 500
	maxName              = 100
	maxURL               = 2048
)

// problems collects every violation of a request.
type problems []apierr.FieldViolation

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, apierr.FieldViolation{Field: field, Description: fmt.Sprintf(format, args...)})
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return apierr.Invalid(p...)
}

const workspacePrefix = "workspaces/"

func workspaceName(id uuid.UUID) string { return workspacePrefix + id.String() }

func linkName(workspace, id uuid.UUID) string {
	return workspaceName(workspace) + "/calendarLinks/" + id.String()
}

// workspace reads a parent, "workspaces/{uuid}".
func (p *problems) workspace(name string) uuid.UUID {
	text, ok := strings.CutPrefix(name, workspacePrefix)
	id, canonical := canonicalUUID(text)
	if !ok || !canonical {
		p.add("parent", "must be workspaces/{uuid}")
	}
	return id
}

var sourceKinds = map[availabilityv1.SourceKind]slots.SourceKind{
	availabilityv1.SourceKind_SOURCE_KIND_UNSPECIFIED: slots.SourceDefault,
	availabilityv1.SourceKind_SOURCE_KIND_DEFAULT:     slots.SourceDefault,
	availabilityv1.SourceKind_SOURCE_KIND_DIRECT_BOOK: slots.SourceDirectBook,
}

func sourceKindProto(kind slots.SourceKind) availabilityv1.SourceKind {
	if kind == slots.SourceDirectBook {
		return availabilityv1.SourceKind_SOURCE_KIND_DIRECT_BOOK
	}
	return availabilityv1.SourceKind_SOURCE_KIND_DEFAULT
}

// sourceKind reads which calendar is meant.
func (p *problems) sourceKind(kind availabilityv1.SourceKind) slots.SourceKind {
	name, known := sourceKinds[kind]
	if !known {
		p.add("source_kind", "is not known")
	}
	return name
}

// key reads a parent and which of its calendars is meant.
func (p *problems) key(parent string, kind availabilityv1.SourceKind) slots.Key {
	return slots.Key{Workspace: p.workspace(parent), Kind: p.sourceKind(kind)}
}

// link reads "workspaces/{uuid}/calendarLinks/{uuid}".
func (p *problems) link(field, name string) (workspace, id uuid.UUID) {
	return p.child(field, name, "calendarLinks")
}

// lead reads "workspaces/{uuid}/leads/{uuid}".
func (p *problems) lead(field, name string) (workspace, id uuid.UUID) {
	return p.child(field, name, "leads")
}

func (p *problems) child(field, name, collection string) (workspace, id uuid.UUID) {
	parts := strings.Split(name, "/")
	if len(parts) == 4 && parts[0] == "workspaces" && parts[2] == collection {
		w, wok := canonicalUUID(parts[1])
		c, cok := canonicalUUID(parts[3])
		if wok && cok {
			return w, c
		}
	}
	p.add(field, "must be workspaces/{uuid}/%s/{uuid}", collection)
	return uuid.Nil, uuid.Nil
}

func canonicalUUID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && id != uuid.Nil && id.String() == text
}

// requestID reads an optional UUID.
func (p *problems) requestID(text string) uuid.UUID {
	if text == "" {
		return uuid.Nil
	}
	id, ok := canonicalUUID(text)
	if !ok {
		p.add("request_id", "must be a UUID")
	}
	return id
}

// text checks a required one-line text.
func (p *problems) text(field, value string, limit int) {
	length := utf8.RuneCountInString(value)
	switch {
	case strings.TrimSpace(value) == "":
		p.add(field, "is required")
	case length > limit:
		p.add(field, "has %d characters, at most %d are accepted", length, limit)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.add(field, "must not contain control characters")
	}
}

// publicURL checks a URL that leads will see.
func (p *problems) publicURL(field, value string) {
	parsed, err := url.Parse(value)
	switch {
	case value == "":
		p.add(field, "is required")
	case len(value) > maxURL:
		p.add(field, "has %d bytes, at most %d are accepted", len(value), maxURL)
	case err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil:
		p.add(field, "must be an https URL")
	}
}

// mask checks that a mask names some of the accepted paths and gives them.
func (p *problems) mask(mask *fieldmaskpb.FieldMask, accepted ...string) map[string]bool {
	paths := map[string]bool{}
	if len(mask.GetPaths()) == 0 {
		p.add("update_mask", "is required; accepted: %s", strings.Join(accepted, ", "))
	}
	for _, path := range mask.GetPaths() {
		if !slices.Contains(accepted, path) {
			p.add("update_mask", "has the unknown path %q; accepted: %s", path, strings.Join(accepted, ", "))
		}
		paths[path] = true
	}
	return paths
}

func (p *problems) pageSize(size int32) int {
	switch {
	case size < 0:
		p.add("page_size", "must not be negative")
		return 0
	case size == 0:
		return defaultPage
	default:
		return int(min(size, maxPage))
	}
}

// runList is what the page tokens of ListRefreshRuns are for.
var runList = uuid.NewSHA1(uuid.NameSpaceOID, []byte("refreshRuns"))

// healthList is what the page tokens of ListAvailabilityHealth are for.
var healthList = uuid.NewSHA1(uuid.NameSpaceOID, []byte("availabilityHealth"))

// pageToken is opaque to callers: whose list it is of and the last id given.
func pageToken(workspace, last uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append(workspace[:], last[:]...))
}

func (p *problems) pageToken(token string, workspace uuid.UUID) uuid.UUID {
	if token == "" {
		return uuid.Nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 32 || uuid.UUID(raw[:16]) != workspace {
		p.add("page_token", "is not a token of this list")
		return uuid.Nil
	}
	return uuid.UUID(raw[16:])
}
