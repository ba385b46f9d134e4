package storm

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

// send asks for the nth send until it is planned, as a caller does that only knows the contract: what is not there or
// gives no answer in time is asked again, at another replica, under the same request id.
func (s *Storm) send(ctx context.Context, n int) error {
	request := s.request(n)
	defer s.issued.Add(1)
	for {
		_, err := s.clients.Next().SendMessage(ctx, request)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			return nil
		}
		wait := 20 * time.Millisecond
		switch apierr.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.Internal, codes.ResourceExhausted:
		case codes.FailedPrecondition:
			if apierr.Reason(err) != "PREVIOUS_SEND_UNRESOLVED" {
				return nil // a refusal is an answer
			}
			wait = 300 * time.Millisecond // the contract says how long; scaled-down time has no use for 30 s
		default:
			return err
		}
		if err := pause(ctx, wait+time.Duration(rand.Int64N(int64(wait)))); err != nil {
			return err
		}
	}
}
