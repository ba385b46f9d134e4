package edge

import (
	"crypto/ed25519"
	"crypto/x509"
	_ "embed" // the published key is data
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// signatureHeader carries HighLevel's Ed25519 signature of the raw body. X-WH-Signature, the RSA one it replaces, is not
// read anywhere. It is spelled as net/http does: other spellings are translated at each look.
const signatureHeader = "X-Ghl-Signature"

// publishedKey is HighLevel's public key as printed in its Webhook Integration Guide.
//
//go:embed keys/ghl-x-ghl-signature.ed25519.pub.pem
var publishedKey string

// ParsePublicKeys reads Ed25519 public keys (PKIX PEM, several per text allowed). Without any text it gives HighLevel's
// published key. Errors: no key in a text, or a key of another kind.
func ParsePublicKeys(texts ...string) ([]ed25519.PublicKey, error) {
	if len(texts) == 0 {
		texts = []string{publishedKey}
	}
	var keys []ed25519.PublicKey
	for i, text := range texts {
		before := len(keys)
		for rest := []byte(text); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("parse public key %d: %w", i+1, err)
			}
			ed, ok := key.(ed25519.PublicKey)
			if !ok {
				return nil, fmt.Errorf("parse public key %d: not Ed25519", i+1)
			}
			keys = append(keys, ed)
		}
		if len(keys) == before {
			return nil, fmt.Errorf("parse public key %d: no PEM block", i+1)
		}
	}
	return keys, nil
}

var (
	errSignatureAbsent  = errors.New("signature header missing, repeated or N/A")
	errSignatureMalform = errors.New("signature is not 64 bytes of standard base64")
)

// parseSignature reads the signature header's values. Exactly one value in the one canonical base64 spelling of 64 bytes
// is accepted; HighLevel sends the literal "N/A" when it did not sign.
func parseSignature(values []string) ([]byte, error) {
	if len(values) != 1 || values[0] == "" || values[0] == "N/A" {
		return nil, errSignatureAbsent
	}
	text := values[0]
	// DecodeString skips line breaks, so the length is checked on the text and not only on the bytes.
	if len(text) != base64.StdEncoding.EncodedLen(ed25519.SignatureSize) || strings.ContainsAny(text, "\r\n") {
		return nil, errSignatureMalform
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, errSignatureMalform
	}
	return signature, nil
}

// verifySignature tells whether any of the keys signed the raw body.
func verifySignature(keys []ed25519.PublicKey, body, signature []byte) bool {
	for _, key := range keys {
		if ed25519.Verify(key, body, signature) {
			return true
		}
	}
	return false
}
