package simulator

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// WebhookRule says how automatic delivery mistreats webhooks. Probabilities are drawn from Config.Seed, so that a run can
// be repeated.
type WebhookRule struct {
	// Events narrows the rule to these event types; none means all.
	Events []string
	// Drop is the probability that an event is never delivered.
	Drop float64
	// Duplicate is the probability that it is delivered twice.
	Duplicate float64
	// Delay holds every delivery back, by the machine's clock.
	Delay time.Duration
	// Shuffle keeps this many events back and lets them go in a drawn order once they are together, or on FlushWebhooks.
	Shuffle int
}

// WebhookCounts say what automatic delivery did with the events it was given:
// Emitted = Dropped + Delivered + Refused + Failed + held.
type WebhookCounts struct {
	// Emitted counts events, Dropped those that a rule swallowed.
	Emitted, Dropped int
	// Delivered counts events that the receiver took, Duplicated those delivered twice.
	Delivered, Duplicated int
	// Refused counts events that it answered otherwise, Failed those it did not answer.
	Refused, Failed int
}

// queued is an event on its way.
type queued struct {
	event string
	raw   []byte
	times int
	delay time.Duration
}

type webhookDesk struct {
	mu     sync.Mutex
	rng    *rand.Rand
	rule   WebhookRule
	held   []queued
	counts WebhookCounts
}

func newWebhookDesk(seed uint64) *webhookDesk {
	return &webhookDesk{rng: rand.New(rand.NewPCG(seed, seed+1))}
}

// SetWebhookRule puts a rule in force for events emitted from now on; the zero rule delivers everything once.
func (s *Simulator) SetWebhookRule(rule WebhookRule) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	s.desk.rule = rule
}

// WebhookCounts are the counts since the start.
func (s *Simulator) WebhookCounts() WebhookCounts {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	return s.desk.counts
}

// FlushWebhooks lets go of the events that a shuffling rule keeps back.
func (s *Simulator) FlushWebhooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed() {
		return
	}
	s.desk.mu.Lock()
	held := s.desk.held
	s.desk.held = nil
	s.desk.shuffle(held)
	s.desk.mu.Unlock()
	for _, q := range held {
		s.dispatch(s.world.hook.url, q)
	}
}

// take draws what becomes of an event: it answers the events to deliver now.
func (d *webhookDesk) take(event string, raw []byte) []queued {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Emitted++
	q := queued{event: event, raw: raw, times: 1}
	if len(d.rule.Events) > 0 && !slices.Contains(d.rule.Events, event) {
		return []queued{q}
	}
	if d.rng.Float64() < d.rule.Drop {
		d.counts.Dropped++
		return nil
	}
	if d.rng.Float64() < d.rule.Duplicate {
		q.times = 2
	}
	q.delay = d.rule.Delay
	if d.rule.Shuffle < 2 {
		return []queued{q}
	}
	if d.held = append(d.held, q); len(d.held) < d.rule.Shuffle {
		return nil
	}
	out := d.held
	d.held = nil
	d.shuffle(out)
	return out
}

func (d *webhookDesk) shuffle(held []queued) {
	d.rng.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
}

// dispatch delivers an event in a goroutine of its own; the caller holds the lock.
func (s *Simulator) dispatch(url string, q queued) {
	s.work.Go(func() {
		ctx, cancel := s.untilClosed()
		defer cancel()
		if q.delay > 0 && !s.wait(ctx, q.delay) {
			return
		}
		var d Delivery
		var err error
		for range q.times {
			if d, err = s.DeliverRaw(ctx, url, q.raw, http.Header{SignatureHeader: {s.Sign(q.raw)}}); err != nil {
				break
			}
		}
		s.desk.count(q, d, err)
		switch {
		case err != nil:
			s.log.WarnContext(ctx, "webhook not delivered", "event", q.event, "error", err)
		case !d.OK():
			s.log.WarnContext(ctx, "webhook refused", "event", q.event, "status", d.Status())
		}
	})
}

func (d *webhookDesk) count(q queued, answer Delivery, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		d.counts.Failed++
	case !answer.OK():
		d.counts.Refused++
	default:
		d.counts.Delivered++
		d.counts.Duplicated += q.times - 1
	}
}
