package server_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
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
	conn := bareConn(t, w.syncServer, listener.Addr().String())
	request := wrapperspb.String("workspaces/0199c6f0-0000-7000-8000-000000000000")
	return func(ctx context.Context) error {
		return conn.Invoke(ctx, "/bare.Bare/Call", request, &wrapperspb.BytesValue{})
	}
}

// bareConn is a connection of grpc-go with nothing but mutual TLS.
func bareConn(t *testing.T, issuer *rpctest.Server, target string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(credentials.NewTLS(issuer.Identity(t, "followups").ClientTLS("availability"))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// rawCall makes one GetSlots call by the same kind of caller as bareCall, which leaves the answer in bytes.
func rawCall(t *testing.T, service *rpctest.Server, workspace string) func(context.Context) error {
	t.Helper()
	conn, request := bareConn(t, service, service.Target()), &availabilityv1.GetSlotsRequest{Parent: workspace}
	return func(ctx context.Context) error {
		return conn.Invoke(ctx, availabilityv1.AvailabilityService_GetSlots_FullMethodName, request, &bytesOf{}, grpc.ForceCodecV2(leave{}))
	}
}

// bytesOf holds a message that nobody decoded.
type bytesOf struct{ raw []byte }

// leave encodes requests and leaves answers as they came.
type leave struct{}

func (leave) Name() string { return "proto" }

func (leave) Marshal(v any) (mem.BufferSlice, error) {
	raw, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(raw)}, err
}

func (leave) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*bytesOf).raw = data.Materialize()
	return nil
}
