package server

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
)

// slotsField is the number of GetSlotsResponse.slots; a test compares it with the contract.
const slotsField protowire.Number = 2

// zoned is what is said of a view's starts in one zone. The starts are kept as they go over the wire: a hundred of them cost
// an answer one copy of bytes instead of a hundred encodings.
type zoned struct {
	zone   *time.Location
	locale slots.Locale
	// wire holds the field slots of a GetSlotsResponse for all starts; ends[i] is where start i ends in it.
	wire []byte
	ends []int

	mu sync.Mutex
	// chosen are the last suggestions, for those who ask for the same part of the starts.
	chosen     []*availabilityv1.Slot
	chosenFrom part
}

// part is what a choice of suggestions depends on, besides the view and the zone. Time goes by without changing it: only
// which starts are over, or near enough to be preferred, matters.
type part struct {
	from, to, near int
	waking         bool
}

// in gives what is said in a zone.
func (v *view) in(zone *time.Location) (*zoned, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.zones[zone.String()]; ok {
		return known, nil
	}
	z := &zoned{zone: zone, locale: localeOf(v.row), ends: make([]int, len(v.starts))}
	for i, start := range v.starts {
		raw, err := proto.Marshal(z.slot(start))
		if err != nil {
			return nil, fmt.Errorf("encode slot: %w", err)
		}
		z.wire = protowire.AppendBytes(protowire.AppendTag(z.wire, slotsField, protowire.BytesType), raw)
		z.ends[i] = len(z.wire)
	}
	z.wire = slices.Clip(z.wire)
	if len(v.zones) < maxZones {
		v.zones[zone.String()] = z
	}
	return z, nil
}

func (z *zoned) slot(start time.Time) *availabilityv1.Slot {
	return &availabilityv1.Slot{StartTime: timestamppb.New(start), Label: z.locale.Label(start, z.zone)}
}

// encoded are the starts [from, to) as they go over the wire. It must not be changed.
func (z *zoned) encoded(from, to int) []byte {
	begin := 0
	if from >= to {
		return nil
	}
	if from > 0 {
		begin = z.ends[from-1]
	}
	return z.wire[begin:z.ends[to-1]:z.ends[to-1]]
}

// suggestions chooses, or gives what was chosen of the same part.
func (z *zoned) suggestions(p part, choose func() []time.Time) []*availabilityv1.Slot {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.chosen == nil || z.chosenFrom != p {
		z.chosen, z.chosenFrom = []*availabilityv1.Slot{}, p
		for _, start := range choose() {
			z.chosen = append(z.chosen, z.slot(start))
		}
	}
	return z.chosen
}
