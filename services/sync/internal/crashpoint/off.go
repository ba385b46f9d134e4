//go:build !crashpoints

package crashpoint

import (
	"bytes"
	"io"
)

// At does nothing in this build.
func At(Point) {}

// Reader reads b; with the tag it dies in the middle at C6.
func Reader(b []byte) io.Reader { return bytes.NewReader(b) }
