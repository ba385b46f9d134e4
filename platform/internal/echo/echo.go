// Package echo is a tiny gRPC service for the platform's own tests, described by hand so that platform needs no proto.
package echo

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/relance/relance/platform/principal"
)

// The methods of the service.
const (
	Service = "relance.test.v1.EchoService"
	Say     = "/" + Service + "/Say"
	Watch   = "/" + Service + "/Watch"
)

// Server answers the calls; nil functions answer with the text they got, and with an empty stream.
type Server struct {
	OnSay   func(ctx context.Context, text string) (string, error)
	OnWatch func(stream grpc.ServerStream) error
}

// Policy allows every kind on both methods.
func Policy() principal.Policy {
	return principal.Policy{Say: principal.AllKinds(), Watch: principal.AllKinds()}
}

// Register puts s on a server.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	registrar.RegisterService(&grpc.ServiceDesc{
		ServiceName: Service,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: handleSay}},
		Streams:     []grpc.StreamDesc{{StreamName: "Watch", Handler: handleWatch, ServerStreams: true}},
	}, s)
}

func handleSay(srv any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
	in := &wrapperspb.StringValue{}
	if err := decode(in); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, req any) (any, error) {
		text := req.(*wrapperspb.StringValue).GetValue()
		server := srv.(*Server)
		if server.OnSay == nil {
			return wrapperspb.String(text), nil
		}
		answer, err := server.OnSay(ctx, text)
		return wrapperspb.String(answer), err
	}
	return chain(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: Say}, handler)
}

func handleWatch(srv any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&wrapperspb.StringValue{}); err != nil {
		return err
	}
	if server := srv.(*Server); server.OnWatch != nil {
		return server.OnWatch(stream)
	}
	return nil
}

// Call says text over conn.
func Call(ctx context.Context, conn grpc.ClientConnInterface, text string) (string, error) {
	out := &wrapperspb.StringValue{}
	err := conn.Invoke(ctx, Say, wrapperspb.String(text), out)
	return out.GetValue(), err
}

// Open opens the stream over conn.
func Open(ctx context.Context, conn grpc.ClientConnInterface) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, Watch)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(wrapperspb.String("")); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}
