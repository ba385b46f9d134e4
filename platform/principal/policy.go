package principal

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

// Policy maps full method names ("/relance.sync.v1.SyncService/SendMessage") to the kinds that may call them. A method
// without a row is refused for everybody. Health and reflection have rows of their own: any identified caller.
type Policy map[string][]Kind

var builtinPrefixes = []string{"/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"}

func builtin(method string) bool {
	return slices.ContainsFunc(builtinPrefixes, func(prefix string) bool { return strings.HasPrefix(method, prefix) })
}

// Decide refuses with PRINCIPAL_NOT_ALLOWED unless the row of method names the kind of who, and with PRINCIPAL_MISSING
// for the zero principal.
func (p Policy) Decide(method string, who Principal) error {
	if who.Kind == "" {
		return errMissing("nobody was identified behind the call")
	}
	if builtin(method) || slices.Contains(p[method], who.Kind) {
		return nil
	}
	return apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonPrincipalNotAllowed,
		"this caller may not call this method").With("principal", string(who.Kind)).With("method", method)
}

// Check compares the policy with what a server registered (grpc.Server.GetServiceInfo). A method without a row is an
// error that names it, and so is a row for a method that its registered service does not have.
func (p Policy) Check(services map[string]grpc.ServiceInfo) error {
	known := map[string]bool{}
	var missing, stale []string
	for service, info := range services {
		for _, m := range info.Methods {
			method := "/" + service + "/" + m.Name
			known[method] = true
			if _, ok := p[method]; !ok && !builtin(method) {
				missing = append(missing, method)
			}
		}
	}
	for method := range p {
		service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		if _, registered := services[service]; registered && !known[method] {
			stale = append(stale, method)
		}
	}
	sort.Strings(missing)
	sort.Strings(stale)
	switch {
	case len(missing) > 0:
		return fmt.Errorf("policy has no row for %s", strings.Join(missing, ", "))
	case len(stale) > 0:
		return fmt.Errorf("policy has a row for a method that does not exist: %s", strings.Join(stale, ", "))
	}
	return nil
}

// DecideUnary refuses calls that the policy does not allow. It runs after IdentifyUnary.
func DecideUnary(policy Policy) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		who, _ := FromContext(ctx)
		if err := policy.Decide(info.FullMethod, who); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// DecideStream does for streams what DecideUnary does for unary calls.
func DecideStream(policy Policy) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		who, _ := FromContext(stream.Context())
		if err := policy.Decide(info.FullMethod, who); err != nil {
			return err
		}
		return next(srv, stream)
	}
}
