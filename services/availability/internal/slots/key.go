package slots

import "github.com/google/uuid"

// SourceKind says which calendar of a workspace slots are of; the values are stored.
type SourceKind string

// The kinds. SourceDirectBook is the calendar for appointments that are made without a person choosing.
const (
	SourceDefault    SourceKind = "default"
	SourceDirectBook SourceKind = "direct_book"
)

// SourceKinds lists every kind.
func SourceKinds() []SourceKind { return []SourceKind{SourceDefault, SourceDirectBook} }

// Key is what slots are kept under.
type Key struct {
	// Workspace is whose they are, Kind of which of its calendars.
	Workspace uuid.UUID
	Kind      SourceKind
}

// Default is the key of a workspace's default calendar.
func Default(workspace uuid.UUID) Key { return Key{Workspace: workspace, Kind: SourceDefault} }

// String is unique.
func (k Key) String() string { return k.Workspace.String() + " " + string(k.Kind) }
