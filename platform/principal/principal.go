// Package principal tells who calls and what that caller may do. Identifying (certificate or token to Principal) and
// deciding (Policy: method to kinds) are two steps; everything that is not allowed is refused.
package principal

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

// Kind is the sort of caller a policy speaks about.
type Kind string

// The kinds of callers. A system kind is "system:" plus the name in the certificate or token.
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

const systemPrefix = "system:"

// AllKinds lists every kind, for tests that go over all of them.
func AllKinds() []Kind {
	return []Kind{
		KindFollowUps, KindAvailability, KindSync, KindGateway, KindCron, KindWebhook, KindAdmin, KindUser,
	}
}

// Principal is an identified caller.
type Principal struct {
	// Kind says what sort of caller it is.
	Kind Kind
	// ID is the user id of a KindUser; empty otherwise.
	ID string
	// Workspace is the bare lower-case UUID of the one workspace the caller is bound to; empty means all.
	Workspace string
}

// String is the form that logs and tokens carry: "system:cron", "user:u1", with "@<workspace>" when bound.
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

var userID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// Parse reads the form that String writes. It refuses kinds that are not in AllKinds, user ids outside
// [A-Za-z0-9._:-]{1,128} and workspaces that are not canonical UUIDs.
func Parse(text string) (Principal, error) {
	who, workspace, bound := strings.Cut(text, "@")
	p := Principal{Kind: Kind(who), Workspace: workspace}
	if bound && !canonicalUUID(workspace) {
		return Principal{}, fmt.Errorf("parse principal: workspace is not a lower-case UUID")
	}
	if id, ok := strings.CutPrefix(who, string(KindUser)+":"); ok {
		if !userID.MatchString(id) {
			return Principal{}, fmt.Errorf("parse principal: bad user id")
		}
		p.Kind, p.ID = KindUser, id
		return p, nil
	}
	for _, kind := range AllKinds() {
		if kind == p.Kind && kind != KindUser {
			return p, nil
		}
	}
	return Principal{}, fmt.Errorf("parse principal: unknown kind")
}

func canonicalUUID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}

type contextKey struct{}

// NewContext returns a context that carries p.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext gives the principal of the call, if one was identified.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// AuthorizeWorkspace refuses with WORKSPACE_FORBIDDEN unless the principal of ctx is unbound or bound to workspaceID (a
// bare UUID), and with PRINCIPAL_MISSING when there is no principal.
func AuthorizeWorkspace(ctx context.Context, workspaceID string) error {
	p, ok := FromContext(ctx)
	if !ok {
		return errMissing("nobody was identified behind the call")
	}
	if p.Workspace == "" || strings.EqualFold(p.Workspace, workspaceID) {
		return nil
	}
	return apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonWorkspaceForbidden,
		"the caller is bound to another workspace").With("principal", string(p.Kind))
}

func errMissing(message string) *apierr.Error {
	return apierr.New(codes.Unauthenticated, apierr.PlatformDomain, apierr.ReasonPrincipalMissing, message)
}

func errToken(message string) *apierr.Error {
	return apierr.New(codes.Unauthenticated, apierr.PlatformDomain, apierr.ReasonTokenInvalid, message)
}
