package server

import (
	"context"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/gather"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/webhook"
)

const (
	// maxWebhooks is how many come in one call.
	maxWebhooks = 64
	// aloneAtOnce bounds the transactions of a call whose webhooks are stored one by one.
	aloneAtOnce = 8
)

// AcceptWebhook stores an authenticated webhook.
func (s *Server) AcceptWebhook(ctx context.Context, req *syncv1.AcceptWebhookRequest) (*syncv1.AcceptWebhookResponse, error) {
	crashpoint.At(crashpoint.H1)
	in, err := s.understand(req, s.keyring(ctx))
	if err != nil {
		return nil, err
	}
	out, err := s.stored(ctx, in, s.intake.DoAll(ctx, struct{}{}, []inbound{in})[0])
	if err != nil {
		return nil, err
	}
	crashpoint.At(crashpoint.H3)
	return out, nil
}

// BatchAcceptWebhooks stores what came together, each as AcceptWebhook does.
func (s *Server) BatchAcceptWebhooks(ctx context.Context, req *syncv1.BatchAcceptWebhooksRequest) (*syncv1.BatchAcceptWebhooksResponse, error) {
	var c check
	n := len(req.GetRequests())
	c.when(n == 0 || n > maxWebhooks, "requests", "must be 1 to 64")
	if err := c.err(); err != nil {
		return nil, err
	}
	crashpoint.At(crashpoint.H1)
	out := make([]*syncv1.AcceptWebhookResponse, n)
	failed := make([]error, n)
	ring := s.keyring(ctx)
	batch, at := make([]inbound, 0, n), make([]int, 0, n)
	for i, one := range req.GetRequests() {
		var in inbound
		failed[i] = apierr.Caught(func() (err error) { in, err = s.understand(one, ring); return err })
		if failed[i] == nil {
			batch, at = append(batch, in), append(at, i)
		}
	}
	var group errgroup.Group
	group.SetLimit(aloneAtOnce)
	for k, r := range s.intake.DoAll(ctx, struct{}{}, batch) {
		i := at[k]
		if out[i] = r.Out; r.Err == nil && r.Out != nil {
			continue
		}
		group.Go(func() error {
			failed[i] = apierr.Caught(func() (err error) { out[i], err = s.stored(ctx, batch[k], r); return err })
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	crashpoint.At(crashpoint.H3)
	return &syncv1.BatchAcceptWebhooksResponse{Results: s.outcomes(ctx, out, failed)}, nil
}

func (s *Server) outcomes(ctx context.Context, out []*syncv1.AcceptWebhookResponse, failed []error) []*syncv1.AcceptWebhookResult {
	results := make([]*syncv1.AcceptWebhookResult, len(out))
	for i := range out {
		if failed[i] == nil {
			results[i] = &syncv1.AcceptWebhookResult{Outcome: &syncv1.AcceptWebhookResult_Response{Response: out[i]}}
			continue
		}
		results[i] = &syncv1.AcceptWebhookResult{Outcome: &syncv1.AcceptWebhookResult_Error{
			Error: apierr.Item(ctx, s.Logger, syncv1.SyncService_BatchAcceptWebhooks_FullMethodName, failed[i]),
		}}
	}
	return results
}

// understand checks and reads a webhook. Nothing is read of a body that is signed with the workspace's own key before the
// signature fits.
func (s *Server) understand(req *syncv1.AcceptWebhookRequest, ring *keyring) (inbound, error) {
	delivery, err := s.delivery(req, ring.who)
	if err != nil {
		return inbound{}, err
	}
	if err := s.verify(delivery, req.GetSignature(), ring); err != nil {
		return inbound{}, err
	}
	event, err := s.parse(delivery)
	return inbound{event: event, delivery: delivery, bound: ring.who.Workspace}, err
}

// stored is the outcome of a webhook that was to be stored together with others: it is stored alone if that did not succeed.
func (s *Server) stored(ctx context.Context, in inbound, r gather.Result[*syncv1.AcceptWebhookResponse]) (*syncv1.AcceptWebhookResponse, error) {
	if !postgres.IsUnavailable(r.Err) && (r.Err != nil || r.Out == nil) {
		return s.storeAlone(ctx, in)
	}
	return r.Out, mapped(r.Err)
}

// keyring reads the keys with which the senders of a call's principal sign, once each. It is not for concurrent use.
type keyring struct {
	//nolint:containedctx // it lives as long as its call
	ctx    context.Context
	server *Server
	who    principal.Principal
	known  map[webhook.Source][]string
}

func (s *Server) keyring(ctx context.Context) *keyring {
	who, _ := principal.FromContext(ctx)
	return &keyring{ctx: ctx, server: s, who: who, known: map[webhook.Source][]string{}}
}

func (k *keyring) of(source webhook.Source) (keys []string, err error) {
	if keys, known := k.known[source]; known {
		return keys, nil
	}
	workspace, err := uuid.Parse(k.who.Workspace)
	if err != nil {
		return nil, err
	}
	err = k.server.Store.System(k.ctx, func(tx *store.Tx) (err error) {
		keys, err = k.server.signingKeys(k.ctx, tx, workspace, source)
		return err
	})
	if err == nil {
		k.known[source] = keys
	}
	return keys, err
}
