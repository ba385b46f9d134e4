package edge

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const (
	// maxActiveSecrets allows a rotation: the new secret and the one before.
	maxActiveSecrets = 2
	// minSecretLength keeps guessable secrets out; 32 random bytes in any encoding are longer.
	minSecretLength = 16
)

// digest is the SHA-256 of a secret. The func array makes == a compile error, so that digests can only be compared in
// constant time.
type digest struct {
	_   [0]func()
	sum [sha256.Size]byte
}

func digestOf(secret string) digest { return digest{sum: sha256.Sum256([]byte(secret))} }

// Secrets are the active secrets of one purpose, kept as digests only. The zero value has none and refuses everything.
type Secrets struct {
	digests []digest
}

// NewSecrets digests up to two secrets; surrounding space is not part of a secret and empty ones do not count. Errors:
// more than two, or one shorter than 16 characters.
func NewSecrets(secrets ...string) (Secrets, error) {
	var s Secrets
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		if secret == "" {
			continue
		}
		if len(secret) < minSecretLength {
			return Secrets{}, fmt.Errorf("a secret is shorter than %d characters", minSecretLength)
		}
		s.digests = append(s.digests, digestOf(secret))
	}
	if len(s.digests) > maxActiveSecrets {
		return Secrets{}, errors.New("more than two active secrets")
	}
	return s, nil
}

// Configured tells whether there is any secret.
func (s Secrets) Configured() bool { return len(s.digests) > 0 }

// Match compares with every active secret, in constant time and without an early exit.
func (s Secrets) Match(candidate string) bool {
	got := digestOf(candidate)
	match := 0
	for i := range s.digests {
		match |= subtle.ConstantTimeCompare(got.sum[:], s.digests[i].sum[:])
	}
	return match == 1
}

// presented takes the secret of a request from "Authorization: Bearer" or from the named header. Repeated headers and
// other schemes present nothing.
func presented(r *http.Request, header string) (string, bool) {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		scheme, token, ok := strings.Cut(values[0], " ")
		token = strings.TrimSpace(token)
		if len(values) != 1 || !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
			return "", false
		}
		return token, true
	}
	values := r.Header.Values(header)
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}
