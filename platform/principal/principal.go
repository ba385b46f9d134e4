// Package principal says who is behind a call and what they may do. Identifying (certificate and token to Principal) and
// deciding (one table, method to kinds) are two separate interceptors; the table denies by default.
package principal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

// Kind is a class of callers.
type Kind string

// The kinds of principals. KindUser is the only one with an id.
const (
	KindFollowUps    Kind = "system:followups"
	KindAvailability Kind = "system:availability"
	KindSync         Kind = "system:sync"
	KindGateway      Kind = "system:gateway"
	KindCron         Kind = "system:cron"
	KindWebhook      Kind = "system:webhook"
	KindAdmin        Kind = "system:admin"
	KindUser         Kind = "user"
)

// AllKinds lists every kind, for tests that walk them.
func AllKinds() []Kind {
	return []Kind{
		KindFollowUps, KindAvailability, KindSync, KindGateway, KindCron, KindWebhook, KindAdmin, KindUser,
	}
}

// Principal is who a call is made for.
type Principal struct {
	// Kind is the class.
	Kind Kind
	// ID is the user's id, for KindUser only.
	ID string
	// Workspace is the bare workspace UUID the principal is bound to; empty means all workspaces.
	Workspace string
}

// String is "system:cron" or "user:<id>", with "@<workspace>" when bound to one.
func (p Principal) String() string {
	text := string(p.Kind)
	if p.Kind == KindUser {
		text += ":" + p.ID
	}
	if p.Workspace != "" {
		text += "@" + p.Workspace
	}
	return text
}

// Parse reads what String wrote. It fails for unknown kinds and a user without id.
func Parse(text string) (Principal, error) {
	name, workspace, _ := strings.Cut(text, "@")
	if id, ok := strings.CutPrefix(name, "user:"); ok {
		if id == "" {
			return Principal{}, fmt.Errorf("parse principal: user without id")
		}
		return Principal{Kind: KindUser, ID: id, Workspace: workspace}, nil
	}
	kind := Kind(name)
	if kind == KindUser || !slices.Contains(AllKinds(), kind) {
		return Principal{}, fmt.Errorf("parse principal: unknown kind")
	}
	return Principal{Kind: kind, Workspace: workspace}, nil
}

type contextKey struct{}

// NewContext puts p into the context.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext takes the principal out of the context.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// AuthorizeWorkspace checks that the principal of the context may act in the workspace (bare UUID). Errors:
// Unauthenticated PRINCIPAL_MISSING, PermissionDenied WORKSPACE_FORBIDDEN.
func AuthorizeWorkspace(ctx context.Context, workspace string) error {
	p, ok := FromContext(ctx)
	if !ok {
		return missing()
	}
	if p.Workspace != "" && p.Workspace != workspace {
		return apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonWorkspaceForbidden,
			"the principal is bound to another workspace")
	}
	return nil
}

func missing() error {
	return apierr.New(codes.Unauthenticated, apierr.PlatformDomain, apierr.ReasonPrincipalMissing,
		"no principal could be identified; call through the gateway or with a service certificate")
}
