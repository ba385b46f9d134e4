package history

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// errPacked says that bytes are not what Pack made.
var errPacked = errors.New("history: packed list is broken")

// Pack writes listed messages in a few bytes each, for Unpack.
func Pack(listed []Listed) []byte {
	out := []byte{}
	for _, l := range listed {
		out = binary.AppendUvarint(out, uint64(len(l.ID)))
		out = append(out, l.ID...)
		direction := byte(0)
		if l.Inbound {
			direction = 1
		}
		out = append(out, direction)
		out = binary.AppendVarint(out, l.At.Unix())
		out = binary.AppendUvarint(out, uint64(l.At.Nanosecond())) // #nosec G115 -- never negative
		out = binary.AppendUvarint(out, uint64(len(l.Hash)))
		out = append(out, l.Hash...)
	}
	return out
}

// Unpack reads what Pack wrote.
func Unpack(raw []byte) ([]Listed, error) {
	var out []Listed
	r := reader{rest: raw}
	for len(r.rest) > 0 {
		l := Listed{ID: r.bytes()}
		l.Inbound = r.take(1) == "\x01"
		seconds := r.varint()
		nanos := r.uvarint()
		l.At = time.Unix(seconds, int64(min(nanos, math.MaxInt32))).UTC() // #nosec G115 -- bounded
		if hash := r.bytes(); len(hash) > 0 {
			l.Hash = []byte(hash)
		}
		if r.lost {
			return nil, errPacked
		}
		out = append(out, l)
	}
	return out, nil
}

// reader reads packed values; lost once one is not there.
type reader struct {
	rest []byte
	lost bool
}

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.rest, r.lost = nil, true
		return ""
	}
	out := string(r.rest[:n])
	r.rest = r.rest[n:]
	return out
}

func (r *reader) bytes() string { return r.take(r.uvarint()) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.take(uint64(max(n, 0))) // #nosec G115 -- not negative
	r.lost = r.lost || n <= 0
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.take(uint64(max(n, 0))) // #nosec G115 -- not negative
	r.lost = r.lost || n <= 0
	return v
}
