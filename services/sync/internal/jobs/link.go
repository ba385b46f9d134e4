package jobs

import (
	"context"

	"github.com/relance/relance/services/sync/internal/work"
)

// linkContacts goes on with one link of a lead to its contact, or with all that are due.
func (d Deps) linkContacts(ctx context.Context, args work.LinkContacts) error {
	if args.Link == "" {
		_, err := d.Linker.Tick(ctx)
		return err
	}
	workspace, id, err := ids(args.Workspace, args.Link)
	if err != nil {
		return err
	}
	return d.Linker.One(ctx, workspace, id)
}
