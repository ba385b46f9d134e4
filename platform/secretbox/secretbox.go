// Package secretbox encrypts columns at rest with an AEAD (Tink, AES-256-GCM). The place of a value (table, column, row)
// is authenticated with it, so that a ciphertext moved elsewhere does not open.
package secretbox

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// AD is the place of a value.
type AD struct {
	// Table, Column and ID name the cell.
	Table, Column, ID string
}

func (a AD) bytes() []byte {
	return bytes.Join([][]byte{[]byte(a.Table), []byte(a.Column), []byte(a.ID)}, []byte{0})
}

// Box seals and opens. Safe for concurrent use.
type Box struct{ aead tink.AEAD }

// New reads a Tink keyset in JSON, as written by GenerateKeyset. The primary key seals; every enabled key opens, so two
// keys can be active during a rotation.
func New(keysetJSON []byte) (*Box, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetJSON)))
	if err != nil {
		return nil, errors.New("secretbox: the keyset is not a Tink JSON keyset; make one with `relance keyset new`")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("secretbox: %w", err)
	}
	return &Box{aead: primitive}, nil
}

// GenerateKeyset makes a keyset with one new key.
func GenerateKeyset() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset: %w", err)
	}
	return write(handle)
}

// AddPrimary adds a new key that seals from now on; the older keys still open.
func AddPrimary(keysetJSON []byte) ([]byte, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetJSON)))
	if err != nil {
		return nil, errors.New("rotate keyset: not a Tink JSON keyset")
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("rotate keyset: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("rotate keyset: %w", err)
	}
	if handle, err = manager.Handle(); err != nil {
		return nil, fmt.Errorf("rotate keyset: %w", err)
	}
	return write(handle)
}

func write(handle *keyset.Handle) ([]byte, error) {
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out)); err != nil {
		return nil, fmt.Errorf("write keyset: %w", err)
	}
	return out.Bytes(), nil
}

// Seal encrypts plain for its place.
func (b *Box) Seal(plain []byte, place AD) ([]byte, error) {
	sealed, err := b.aead.Encrypt(plain, place.bytes())
	if err != nil {
		return nil, fmt.Errorf("seal %s.%s: %w", place.Table, place.Column, err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same place; it fails for any other place, key or changed byte.
func (b *Box) Open(sealed []byte, place AD) ([]byte, error) {
	plain, err := b.aead.Decrypt(sealed, place.bytes())
	if err != nil {
		return nil, fmt.Errorf("open %s.%s: it was sealed with another key or for another place", place.Table, place.Column)
	}
	return plain, nil
}
