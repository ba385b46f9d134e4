package edge

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/gather"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const (
	// intakeBytes bounds the bodies of a call, far below what a service takes.
	intakeBytes = 1 << 20
	// intakeLanes is how many calls for one principal are under way at once. Sync stores one batch at a time: what the second call
	// brings is checked and read there meanwhile, so that storing never waits for it.
	intakeLanes = 2
	// intakeEnough is how many webhooks the second call takes at least: small ones would make both batches small.
	intakeEnough = 32
)

// intake hands webhooks over: those that come at the same time as the same principal go in one call, which costs both sides
// about what a call with one costs. Its callers are senders who come again, so they leave when their time is over.
type intake = gather.Gatherer[principal.Principal, *syncv1.AcceptWebhookRequest, *syncv1.AcceptWebhookResult]

func (e *Edge) newIntake() *intake {
	return gather.New(gather.Config[principal.Principal, *syncv1.AcceptWebhookRequest, *syncv1.AcceptWebhookResult]{
		Run: e.handOver, Lanes: intakeLanes, Enough: intakeEnough, Leave: true,
		Weight: func(r *syncv1.AcceptWebhookRequest) int { return len(r.GetBody()) }, Limit: intakeBytes,
	})
}

// handOver makes one call for webhooks of one principal, which the context carries.
func (e *Edge) handOver(ctx context.Context, _ principal.Principal, batch []*syncv1.AcceptWebhookRequest) ([]*syncv1.AcceptWebhookResult, error) {
	// The call is no single request's, so it writes into no request's record.
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, recordKey{}, nil), e.opts.WebhookTimeout)
	defer cancel()
	answer, err := e.sync.BatchAcceptWebhooks(ctx, &syncv1.BatchAcceptWebhooksRequest{Requests: batch})
	return answer.GetResults(), err
}

// store has sync store a webhook. Errors are the webhook's own, or those of the call it went with.
func (e *Edge) store(ctx context.Context, request *syncv1.AcceptWebhookRequest) (*syncv1.AcceptWebhookResponse, error) {
	who, _ := principal.FromContext(ctx) // without one the call is refused
	result, err := e.intake.Do(ctx, who, request)
	if apierr.Code(err) == codes.Unimplemented {
		return e.sync.AcceptWebhook(ctx, request) // a sync from before the batch
	}
	if record, ok := recordFrom(ctx); ok {
		record.rpc = syncv1.SyncService_BatchAcceptWebhooks_FullMethodName
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &apierr.Error{Code: codes.DeadlineExceeded, Cause: err}
	case errors.Is(err, context.Canceled):
		return nil, &apierr.Error{Code: codes.Canceled, Message: "the call was cancelled", Cause: err}
	case err != nil:
		return nil, err
	case result.GetResponse() == nil:
		return nil, apierr.FromItem(result.GetError())
	}
	return result.GetResponse(), nil
}
