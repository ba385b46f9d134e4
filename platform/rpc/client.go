package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// ClientConfig is what a client connection is made of.
type ClientConfig struct {
	// Target is the gRPC target, such as "127.0.0.1:7001" or "dns:///sync:7001". Required.
	Target string
	// Service is the name the server's certificate must carry. Required.
	Service string
	// Identity is the caller's certificate. Required.
	Identity *Identity
	// DefaultTimeout is given to calls without a deadline. Default 30 s.
	DefaultTimeout time.Duration
	// Interceptors run after the deadline is set.
	Interceptors []grpc.UnaryClientInterceptor
}

// Dial makes a connection that connects when first used and heals by itself. Calls are not retried by the client; gRPC
// itself retries only what provably never left.
func Dial(cfg ClientConfig) (*grpc.ClientConn, error) {
	if cfg.Target == "" || cfg.Service == "" || cfg.Identity == nil {
		return nil, errors.New("dial: Target, Service and Identity are required")
	}
	if cfg.DefaultTimeout <= 0 {
		cfg.DefaultTimeout = 30 * time.Second
	}
	chain := append([]grpc.UnaryClientInterceptor{timeout(cfg.DefaultTimeout)}, cfg.Interceptors...)
	conn, err := grpc.NewClient(cfg.Target,
		grpc.WithTransportCredentials(credentials.NewTLS(cfg.Identity.ClientTLS(cfg.Service))),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithChainUnaryInterceptor(chain...),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)),
	)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Service, err)
	}
	return conn, nil
}

func timeout(d time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, ok := ctx.Deadline(); ok {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}
