package run

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store"
)

func TestPanicStaysWithItsItem(t *testing.T) {
	t.Parallel()
	runner := New(Config{})
	workspaceID, poisoned := uuid.New(), uuid.New()
	runner.decide = func(in followup.Input) followup.Decision {
		if in.Enrollment.ID == poisoned {
			panic("poison")
		}
		return followup.Decision{Verdict: followup.Send, Content: followup.Content{Body: "x"}}
	}
	p := &pass{Runner: runner, workspaces: map[uuid.UUID]*workspace{workspaceID: {}}}
	var works []*work
	for _, id := range []uuid.UUID{uuid.New(), poisoned, uuid.New()} {
		e := followup.Enrollment{ID: id, Workspace: workspaceID, State: followup.Active}
		works = append(works, &work{learned: true, item: store.Item{Enrollment: e}, try: followup.Try{Max: 3}})
	}
	unread := &work{item: works[0].item, try: followup.Try{Max: 3}}
	p.decideAll(t.Context(), append(works, unread))
	if unread.content != nil || unread.effect != nil {
		t.Fatal("a lead that nobody has read was decided on")
	}
	if works[0].content == nil || works[2].content == nil {
		t.Fatal("a panic stopped its batch")
	}
	if got := works[1].effect; got == nil || got.Result != followup.Failed || got.Attempts != 1 || got.Move != followup.Stay {
		t.Fatalf("effect of the poisoned item: %+v", got)
	}
	if err := isolated(func() { panic("x") }); !errors.Is(err, errPanic) {
		t.Fatalf("error: %v", err)
	}
}
