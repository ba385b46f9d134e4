package postgres

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Without this, pgx sends a uuid.UUID by its driver.Valuer: written as text, and parsed again by the server.

type wireUUID uuid.UUID

// UUIDValue gives the sixteen bytes.
func (u wireUUID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: u, Valid: true}, nil }

type encodeUUID struct{ next pgtype.EncodePlan }

// SetNext is called with the plan of the wrapped value.
func (p *encodeUUID) SetNext(next pgtype.EncodePlan) { p.next = next }

// Encode writes the value as bytes.
func (p *encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	id, ok := value.(uuid.UUID)
	if !ok {
		return nil, fmt.Errorf("encode uuid: got %T", value)
	}
	return p.next.Encode(wireUUID(id), buf)
}

func wrapUUID(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	id, ok := value.(uuid.UUID)
	if !ok {
		return nil, nil, false
	}
	return &encodeUUID{}, wireUUID(id), true
}

// registerUUID makes a connection send UUIDs as bytes.
func registerUUID(types *pgtype.Map) {
	types.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapUUID}, types.TryWrapEncodePlanFuncs...)
}
