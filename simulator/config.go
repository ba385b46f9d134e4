package simulator

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// Config says how a Simulator behaves. Only Now is required.
type Config struct {
	// Now is the simulator's clock: message times, token expiry, rate-limit windows and
	// free slots follow it. Required; New panics without it.
	Now func() time.Time
	// Logger receives one line per fault played and per failed webhook. Default: discard.
	Logger *slog.Logger
	// SigningKey signs webhooks out. Default: a fresh key.
	SigningKey ed25519.PrivateKey
	// RateLimit is the quota of each location. The zero value is HighLevel's published one.
	RateLimit RateLimit
	// LedgerFile, when set, gets every ledger record as a JSON line, fsynced before the
	// answer leaves. The file is appended to, never truncated.
	LedgerFile string
	// AccessLife is how long an OAuth access token lives. Default a day less a second.
	AccessLife time.Duration
	// Seed drives the probability of faults, so that a run can be repeated. Default 1.
	Seed uint64
	// Delivery bounds the retries of webhooks out.
	Delivery DeliveryLimits
	// OnReceive, when set, is called with every request at its receipt, before anything is
	// done about it: an oracle asks there what the system under test had committed by then.
	// It is called from many goroutines and delays the request.
	OnReceive func(Entry)
}

// RateLimit is the quota of one location. Zero fields take HighLevel's published
// values (100 requests per 10 s, 200 000 a day); Disabled switches refusals off, and
// the headers name a limit of a million.
type RateLimit struct {
	Burst    int
	Interval time.Duration
	Daily    int
	Disabled bool
	// RetryAfter adds a Retry-After header to a 429; the real service documents none.
	RetryAfter bool
}

// DeliveryLimits bounds webhook delivery. Zero fields take the defaults: 6 attempts,
// waits of at most 1 s each (a Retry-After of minutes is shortened to that), 10 s per request.
type DeliveryLimits struct {
	Attempts int
	MaxWait  time.Duration
	Timeout  time.Duration
}

// Simulator is the outside world. Its methods are safe for concurrent use.
type Simulator struct {
	now     func() time.Time
	log     *slog.Logger
	key     ed25519.PrivateKey
	limiter *limiter
	ledger  *ledger
	faults  *faultBook
	desk    *webhookDesk
	routes  []route
	admin   http.Handler
	client  *http.Client
	limits  DeliveryLimits
	life    time.Duration
	observe func(Entry)

	stopping chan struct{} // closed by Close
	stopOnce sync.Once
	work     sync.WaitGroup

	mu    sync.Mutex
	world world
}

// New builds a simulator with no locations. It panics when Config.Now is nil or the
// signing key has a wrong length, which are mistakes of the program, not of its input.
// A ledger file that cannot be opened is reported by LedgerError.
func New(cfg Config) *Simulator {
	if cfg.Now == nil {
		panic("simulator: Config.Now is required")
	}
	if cfg.SigningKey == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic("simulator: generate signing key: " + err.Error())
		}
		cfg.SigningKey = key
	}
	if len(cfg.SigningKey) != ed25519.PrivateKeySize {
		panic(fmt.Sprintf("simulator: signing key has %d bytes", len(cfg.SigningKey)))
	}
	if cfg.AccessLife <= 0 {
		cfg.AccessLife = accessLife
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Simulator{
		now:      cfg.Now,
		log:      cfg.Logger,
		key:      cfg.SigningKey,
		limiter:  newLimiter(cfg.RateLimit),
		ledger:   openLedger(cfg.LedgerFile),
		faults:   newFaultBook(max(cfg.Seed, 1)),
		desk:     newWebhookDesk(max(cfg.Seed, 1)),
		client:   deliveryClient(),
		limits:   cfg.Delivery.withDefaults(),
		life:     cfg.AccessLife,
		observe:  cfg.OnReceive,
		stopping: make(chan struct{}),
		world:    newWorld(),
	}
	s.routes = append(s.ghlRoutes(), s.mailRoutes()...)
	s.admin = s.adminHandler()
	return s
}

// LedgerError is the first error met while opening or writing Config.LedgerFile, or nil.
func (s *Simulator) LedgerError() error { return s.ledger.err() }

// Close stops automatic webhooks, waits for those under way and closes the ledger file.
func (s *Simulator) Close() error {
	s.mu.Lock() // no event is emitted after this
	s.stopOnce.Do(func() { close(s.stopping) })
	s.mu.Unlock()
	s.work.Wait()
	s.client.CloseIdleConnections()
	return s.ledger.close()
}

// PublicKeyPEM is the key that verifies X-GHL-Signature, as PKIX PEM.
func (s *Simulator) PublicKeyPEM() string {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil { // an ed25519 key always marshals
		panic("simulator: marshal public key: " + err.Error())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Sign returns the value of X-GHL-Signature for a body: base64 of the Ed25519 signature
// over its raw bytes.
func (s *Simulator) Sign(raw []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, raw))
}

func (d DeliveryLimits) withDefaults() DeliveryLimits {
	if d.Attempts <= 0 {
		d.Attempts = 6
	}
	if d.MaxWait <= 0 {
		d.MaxWait = time.Second
	}
	if d.Timeout <= 0 {
		d.Timeout = 10 * time.Second
	}
	return d
}

// untilClosed is a context that ends with the simulator.
func (s *Simulator) untilClosed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		select {
		case <-s.stopping:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// closed reports that Close was called.
func (s *Simulator) closed() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newID returns 20 letters and digits, the shape of HighLevel's ids. Random rather than
// counted, so that two runs against one database never reuse an id.
func newID() string {
	out := make([]byte, 20)
	limit := big.NewInt(int64(len(idAlphabet)))
	for i := range out {
		n, err := rand.Int(rand.Reader, limit)
		if err != nil {
			panic("simulator: read random bytes: " + err.Error())
		}
		out[i] = idAlphabet[n.Int64()]
	}
	return string(out)
}

// newUUID returns a random UUID (version 4), the shape of trace and webhook ids.
func newUUID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("simulator: read random bytes: " + err.Error())
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
