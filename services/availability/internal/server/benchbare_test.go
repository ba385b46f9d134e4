package server_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bareCall starts a grpc-go server with nothing but mutual TLS that answers each call with as many bytes as answer has,
// and gives a function that makes one call.
func bareCall(t *testing.T, w *world, answer proto.Message) func(context.Context) error {
	t.Helper()
	payload := wrapperspb.Bytes(make([]byte, proto.Size(answer)))
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(w.syncServer.Identity(t, "availability").ServerTLS("followups"))))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bare.Bare", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Call",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				return payload, decode(&wrapperspb.StringValue{})
			},
		}},
	}, struct{}{})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(w.syncServer.Identity(t, "followups").ClientTLS("availability"))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	request := wrapperspb.String("workspaces/0199c6f0-0000-7000-8000-000000000000")
	return func(ctx context.Context) error {
		return conn.Invoke(ctx, "/bare.Bare/Call", request, &wrapperspb.BytesValue{})
	}
}
