package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/work"
)

// linkContacts goes on with one link of a lead to its contact, or with all that are due.
func (d Deps) linkContacts(ctx context.Context, args work.LinkContacts) error {
	if args.Link == "" {
		_, err := d.Linker.Tick(ctx)
		return err
	}
	workspace, errW := uuid.Parse(args.Workspace)
	id, errL := uuid.Parse(args.Link)
	if err := errors.Join(errW, errL); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	return d.Linker.One(ctx, workspace, id)
}
