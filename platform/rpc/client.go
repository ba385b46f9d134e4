package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

const defaultClientTimeout = 10 * time.Second

// ClientConfig is what a client connection is made of.
type ClientConfig struct {
	// Target is "host:port", or a gRPC target such as "dns:///sync:7401" or "unix:///run/sync.sock".
	Target string
	// Service is the name the server must prove ("sync").
	Service string
	// Identity is the certificate source.
	Identity *Identity
	// DefaultTimeout bounds unary calls whose context has no deadline; 0 means 10 s.
	DefaultTimeout time.Duration
	// Options are added last, for a caller's own interceptors.
	Options []grpc.DialOption
}

// Dial makes a connection that is opened on its first call and heals by itself. Calls fail at once with Unavailable
// while the server is away; nothing is sent twice except what provably did not reach the server.
func Dial(cfg ClientConfig) (*grpc.ClientConn, error) {
	if cfg.Target == "" || cfg.Service == "" || cfg.Identity == nil {
		return nil, errors.New("dial: target, service and identity are needed")
	}
	if cfg.DefaultTimeout == 0 {
		cfg.DefaultTimeout = defaultClientTimeout
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(cfg.Identity.ClientTLS(cfg.Service))),
		grpc.WithContextDialer(cfg.Identity.dial),
		grpc.WithChainUnaryInterceptor(timeoutUnary(cfg.DefaultTimeout)),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithFilter(filters.Not(filters.HealthCheck())))),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.WaitForReady(false)),
		grpc.WithDisableServiceConfig(), // retries are the caller's decision, not that of a DNS record
		grpc.WithDisableRetry(),
	}
	conn, err := grpc.NewClient(cfg.Target, append(options, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Service, err)
	}
	return conn, nil
}

func (i *Identity) dial(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", strings.TrimPrefix(path, "//")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return i.track(conn), nil
}

func timeoutUnary(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return invoke(ctx, method, req, reply, conn, opts...)
	}
}
