package principal_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/internal/echo"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
)

const (
	workspace = "0192f7a0-7c1e-7000-8000-000000000001"
	elsewhere = "0192f7a0-7c1e-7000-8000-000000000002"
)

func of(kind principal.Kind) principal.Principal {
	p := principal.Principal{Kind: kind}
	if kind == principal.KindUser {
		p.ID = "u1"
	}
	return p
}

func TestStringAndParse(t *testing.T) {
	t.Parallel()
	for _, kind := range principal.AllKinds() {
		for _, ws := range []string{"", workspace} {
			want := of(kind)
			want.Workspace = ws
			if got, err := principal.Parse(want.String()); err != nil || got != want {
				t.Errorf("Parse(%q) = %+v, %v; want %+v", want.String(), got, err, want)
			}
		}
	}
	for _, bad := range []string{
		"", "user", "user:", "user:a b", "user:a@b", "system:", "system:root", "SYSTEM:CRON", "system:cron@",
		"system:cron@x", "system:cron@" + strings.ToUpper(workspace), "system:cron@" + workspace + "@" + workspace, " system:cron",
	} {
		if got, err := principal.Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestDecideOverAllKinds(t *testing.T) {
	t.Parallel()
	policy := principal.Policy{
		"/s/Send":   {principal.KindFollowUps, principal.KindUser},
		"/s/Nobody": {},
		"/s/All":    principal.AllKinds(),
	}
	allowed := map[string][]principal.Kind{
		"/s/Send": policy["/s/Send"], "/s/Nobody": nil, "/s/All": principal.AllKinds(), "/s/NoRow": nil, "": nil,
		"/grpc.health.v1.Health/Check":                              principal.AllKinds(),
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": principal.AllKinds(),
		"/grpc.health.v1.HealthX/Check":                             nil,
	}
	for method, kinds := range allowed {
		for _, kind := range append(principal.AllKinds(), "system:other") {
			err := policy.Decide(method, of(kind))
			if slices.Contains(kinds, kind) || (len(kinds) > 0 && strings.HasPrefix(method, "/grpc.")) {
				if err != nil {
					t.Errorf("Decide(%q, %s) = %v, want allowed", method, kind, err)
				}
				continue
			}
			if apierr.Code(err) != codes.PermissionDenied || apierr.Reason(err) != apierr.ReasonPrincipalNotAllowed {
				t.Errorf("Decide(%q, %s) = %v, want PRINCIPAL_NOT_ALLOWED", method, kind, err)
			}
		}
		if err := policy.Decide(method, principal.Principal{}); apierr.Reason(err) != apierr.ReasonPrincipalMissing {
			t.Errorf("Decide(%q, nobody) = %v, want PRINCIPAL_MISSING", method, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	services := map[string]grpc.ServiceInfo{
		"s":                     {Methods: []grpc.MethodInfo{{Name: "A"}, {Name: "B"}}},
		"grpc.health.v1.Health": {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	}
	tests := []struct {
		name   string
		policy principal.Policy
		want   string
	}{
		{"complete", principal.Policy{"/s/A": nil, "/s/B": nil, "/other/C": nil}, ""},
		{"missing row", principal.Policy{"/s/A": nil}, "/s/B"},
		{"row without method", principal.Policy{"/s/A": nil, "/s/B": nil, "/s/Typo": nil}, "/s/Typo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.policy.Check(services)
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAuthorizeWorkspace(t *testing.T) {
	t.Parallel()
	bound := principal.Principal{Kind: principal.KindWebhook, Workspace: workspace}
	tests := []struct {
		name   string
		who    *principal.Principal
		asked  string
		reason string
	}{
		{"unbound", &principal.Principal{Kind: principal.KindCron}, elsewhere, ""},
		{"own", &bound, workspace, ""},
		{"own in capitals", &bound, strings.ToUpper(workspace), ""},
		{"other", &bound, elsewhere, apierr.ReasonWorkspaceForbidden},
		{"none named", &bound, "", apierr.ReasonWorkspaceForbidden},
		{"nobody", nil, workspace, apierr.ReasonPrincipalMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if tt.who != nil {
				ctx = principal.NewContext(ctx, *tt.who)
			}
			if err := principal.AuthorizeWorkspace(ctx, tt.asked); apierr.Reason(err) != tt.reason {
				t.Errorf("AuthorizeWorkspace = %v, want %q", err, tt.reason)
			}
		})
	}
}

func TestOutgoingTokenReplaces(t *testing.T) {
	t.Parallel()
	ctx := metadata.AppendToOutgoingContext(t.Context(), principal.MetadataKey, "forged", "other", "kept")
	md, _ := metadata.FromOutgoingContext(principal.OutgoingToken(ctx, "minted"))
	if got := md.Get(principal.MetadataKey); !slices.Equal(got, []string{"minted"}) || len(md.Get("other")) != 1 {
		t.Errorf("metadata = %v", md)
	}
}

func TestPolicyOverTheWire(t *testing.T) {
	t.Parallel()
	policy := principal.Policy{echo.Say: {principal.KindFollowUps, principal.KindCron}, echo.Watch: nil}
	server := rpctest.New(t, rpctest.Config{Service: "sync", Policy: policy, Register: (&echo.Server{}).Register})
	for _, kind := range principal.AllKinds() {
		conn := server.ConnAs(t, of(kind))
		_, err := echo.Call(t.Context(), conn, "hi")
		if slices.Contains(policy[echo.Say], kind) {
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		} else {
			rpctest.RequireError(t, err, codes.PermissionDenied, apierr.ReasonPrincipalNotAllowed)
		}
		stream, err := echo.Open(t.Context(), conn)
		if err == nil {
			err = stream.RecvMsg(nil)
		}
		rpctest.RequireError(t, err, codes.PermissionDenied, apierr.ReasonPrincipalNotAllowed)
	}
	ctx := principal.OutgoingToken(t.Context(), "x")
	_, err := echo.Call(ctx, server.Conn(t, "followups"), "hi")
	rpctest.RequireError(t, err, codes.Unauthenticated, apierr.ReasonTokenInvalid)
}
