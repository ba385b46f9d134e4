package bench

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/e2e/internal/lab"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// door is the bare loop behind one handler of grpc-go with mutual TLS, and nothing else of a service: the same request comes
// in and an answer of the same size goes out. What it costs more than the bare loop is the price of the door, which
// SendMessage has to pay whatever is done behind it.
type door struct {
	syncv1.UnimplementedSyncServiceServer

	send func(context.Context, int) error
}

// SendMessage does what the bare loop does for the person whose number the request brings as its subject.
func (d *door) SendMessage(ctx context.Context, req *syncv1.SendMessageRequest) (*syncv1.SendMessageResponse, error) {
	var person int
	if _, err := fmt.Sscan(req.GetSubject(), &person); err != nil {
		return nil, fmt.Errorf("the subject names no person: %w", err)
	}
	if err := d.send(ctx, person); err != nil {
		return nil, err
	}
	now := timestamppb.Now()
	return &syncv1.SendMessageResponse{Message: &syncv1.Message{
		Name: req.GetLead(), Lead: req.GetLead(), Channel: req.GetChannel(), Direction: syncv1.Direction_DIRECTION_OUTBOUND,
		State: syncv1.MessageState_MESSAGE_STATE_ACCEPTED, Body: req.GetBody(), ProviderMessageId: req.GetRequestId(), Provider: "ghl",
		AttemptCount: 1, MessageTime: now, CreateTime: now, RequestId: req.GetRequestId(),
	}}, nil
}

// open serves the door in this process and gives its clients. stop ends both.
func (d *door) open(ctx context.Context, l *lab.Lab) (clients *lab.Clients, stop func(), err error) {
	identity, err := l.CA.Issue("sync")
	if err != nil {
		return nil, nil, fmt.Errorf("open door: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("open door: %w", err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLS())))
	syncv1.RegisterSyncServiceServer(server, d)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // its end is Stop; before that, calls would fail and tell
	}()
	clients, err = l.FollowUps(listener.Addr().String())
	stop = func() {
		if clients != nil {
			clients.Close()
		}
		server.Stop()
		<-served
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("open door: %w", err)
	}
	return clients, stop, nil
}
