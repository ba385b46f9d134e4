package principal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

// Policy is the decision table: full method ("/pkg.Service/Method") to the kinds that may call it. A method without a
// row is denied to everyone.
type Policy map[string][]Kind

// openServices may be called by every identified peer: they show health and the contract, no data. Reflection is only
// registered behind its switch.
func openServices() []string {
	return []string{"/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"}
}

// Decide tells whether who may call method. Error: PermissionDenied PRINCIPAL_NOT_ALLOWED.
func (p Policy) Decide(method string, who Principal) error {
	if isOpen(method) || slices.Contains(p[method], who.Kind) {
		return nil
	}
	return apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonPrincipalNotAllowed,
		"this principal may not call this method").With("principal", string(who.Kind)).With("method", method)
}

// Check compares the table with the registered services: every method needs a row and every row a method, so that
// neither a new method nor a renamed one is forgotten.
func (p Policy) Check(services map[string]grpc.ServiceInfo) error {
	rows := maps.Clone(p)
	var problems []string
	for service, info := range services {
		for _, m := range info.Methods {
			method := "/" + service + "/" + m.Name
			if isOpen(method) {
				continue
			}
			if _, ok := p[method]; !ok {
				problems = append(problems, "no row for "+method)
			}
			delete(rows, method)
		}
	}
	for method := range rows {
		problems = append(problems, "row for unknown method "+method)
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("principal policy: %s", strings.Join(problems, "; "))
}

func isOpen(method string) bool {
	return slices.ContainsFunc(openServices(), func(prefix string) bool { return strings.HasPrefix(method, prefix) })
}

// DecideUnary refuses calls that the policy does not allow. It runs after IdentifyUnary.
func DecideUnary(policy Policy) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := decide(ctx, policy, info.FullMethod); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// DecideStream does for streams what DecideUnary does for unary calls.
func DecideStream(policy Policy) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if err := decide(stream.Context(), policy, info.FullMethod); err != nil {
			return err
		}
		return next(srv, stream)
	}
}

func decide(ctx context.Context, policy Policy, method string) error {
	who, ok := FromContext(ctx)
	if !ok {
		return missing()
	}
	return policy.Decide(method, who)
}
