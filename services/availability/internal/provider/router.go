package provider

import (
	"context"
	"errors"

	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/slots"
)

// Router sends each look to the provider of its kind.
type Router map[calendar.Kind]look.Provider

// FreeSlots asks the provider of the kind.
func (r Router) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	p := r[ask.Kind]
	if p == nil {
		return look.Answer{}, &look.Error{Kind: slots.ReasonUnsupportedCalendar, Reason: string(slots.ReasonUnsupportedCalendar)}
	}
	return p.FreeSlots(ctx, ask)
}

// Host is that of the provider of the kind.
func (r Router) Host(ask look.Ask) string {
	if p := r[ask.Kind]; p != nil {
		return p.Host(ask)
	}
	return ""
}

// Fallback asks First, and Second where First cannot be used because the workspace has no working connection. When
// Second fails too, the answer is First's.
type Fallback struct{ First, Second look.Provider }

// FreeSlots asks.
func (f Fallback) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	if ask.ID == "" {
		// Only the page tells which calendar it is.
		return f.Second.FreeSlots(ctx, ask)
	}
	answer, err := f.First.FreeSlots(ctx, ask)
	failed, ok := errors.AsType[*look.Error](err)
	if !ok || (failed.Reason != "PROVIDER_NOT_CONNECTED" && failed.Reason != "PROVIDER_AUTH_REVOKED") {
		return answer, err
	}
	second, secondErr := f.Second.FreeSlots(ctx, ask)
	if secondErr != nil {
		return look.Answer{}, err
	}
	// That First was left out says nothing of its host.
	second.Host = f.Second.Host(ask)
	return second, nil
}

// Host is First's, or Second's where First is not asked.
func (f Fallback) Host(ask look.Ask) string {
	if ask.ID == "" {
		return f.Second.Host(ask)
	}
	return f.First.Host(ask)
}
