package budget

import "context"

type bulkKey struct{}

// InBulk marks what runs under the context as bulk reading. The mark is in the context because the readers of history are
// called through packages that know nothing of budgets.
func InBulk(ctx context.Context) context.Context { return context.WithValue(ctx, bulkKey{}, true) }

// ReadClass is the class of a read under the context: Bulk or Read.
func ReadClass(ctx context.Context) Class {
	if ctx.Value(bulkKey{}) != nil {
		return Bulk
	}
	return Read
}
