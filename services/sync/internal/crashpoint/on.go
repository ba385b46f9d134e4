//go:build crashpoints

package crashpoint

import (
	"bytes"
	"io"
)

// Reader reads b and passes C6 in its middle.
func Reader(b []byte) io.Reader {
	half := len(b) / 2
	return io.MultiReader(bytes.NewReader(b[:half]), passing{}, bytes.NewReader(b[half:]))
}

type passing struct{}

// Read passes C6 and reads nothing.
func (passing) Read([]byte) (int, error) {
	At(C6)
	return 0, io.EOF
}
