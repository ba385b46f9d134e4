// Package readcache keeps in memory what was read of workspaces' calendars, for as long as the database vouches that it hears of
// every change. It is bounded, and what was read before a change is never put in after it.
package readcache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/availability/internal/slots"
)

const (
	shardCount = 64
	// entryCost is what an entry costs besides its weight, so that entries without weight are bounded too.
	entryCost = 16
)

// Cache maps calendars to values. It is safe for concurrent use.
type Cache[V any] struct {
	weigh  func(V) int
	limit  int
	seed   maphash.Seed
	shards [shardCount]shard[V]
	// epoch is the machine's time that trust is counted from, trusted how long after it.
	epoch   time.Time
	trusted atomic.Int64
}

// shard is a part of the cache. generation counts its changes, so that what was read before one is not kept after it.
type shard[V any] struct {
	mu         sync.Mutex
	entries    *simplelru.LRU[slots.Key, V]
	weight     int
	generation uint64
}

// Ticket is the moment before a read from the database.
type Ticket struct {
	key        slots.Key
	generation uint64
}

// New makes a Cache of values whose weights sum up to the limit; least recently used ones leave first. It holds nothing
// until Trust is called.
func New[V any](limit int, weigh func(V) int) *Cache[V] {
	c := &Cache[V]{weigh: weigh, limit: max(limit/shardCount, 1), seed: maphash.MakeSeed(), epoch: clock.System().Now()}
	for i := range c.shards {
		s := &c.shards[i]
		// Entries are bounded by weight, of which each has some: the size here is never reached.
		entries, err := simplelru.NewLRU(c.limit/entryCost+2, func(_ slots.Key, v V) { s.weight -= weigh(v) + entryCost })
		if err != nil {
			// Only for a size below 1, which it is not.
			panic(err)
		}
		s.entries = entries
	}
	return c
}

// Get gives the value of a calendar, if it is known and nothing says that it changed.
func (c *Cache[V]) Get(key slots.Key) (value V, ok bool) {
	if !c.vouched() {
		return value, false
	}
	s := c.shard(key.Workspace)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries.Get(key)
}

// Begin must be called before the value is read from the database.
func (c *Cache[V]) Begin(key slots.Key) Ticket {
	s := c.shard(key.Workspace)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Ticket{key: key, generation: s.generation}
}

// Put keeps a value that was read after Begin, unless a change came in between. Values must not be changed any more.
func (c *Cache[V]) Put(t Ticket, value V) {
	cost := c.weigh(value) + entryCost
	s := c.shard(t.key.Workspace)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != t.generation || !c.vouched() || cost > c.limit {
		return
	}
	s.entries.Remove(t.key)
	s.entries.Add(t.key, value)
	s.weight += cost
	for s.weight > c.limit {
		s.entries.RemoveOldest()
	}
}

// Forget drops what is known of a workspace's calendars: something of it changed.
func (c *Cache[V]) Forget(workspace uuid.UUID) {
	s := c.shard(workspace)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	for _, kind := range slots.SourceKinds() {
		s.entries.Remove(slots.Key{Workspace: workspace, Kind: kind})
	}
}

// Trust says that every change committed by since, of the machine's clock, was heard of, and that the cache may be used until
// since+span.
func (c *Cache[V]) Trust(since time.Time, span time.Duration) {
	c.trusted.Store(int64(since.Add(span).Sub(c.epoch)))
}

// Distrust drops everything: changes may have been missed. Nothing is kept until Trust is called.
func (c *Cache[V]) Distrust() {
	c.trusted.Store(0)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.generation++
		s.entries.Purge()
		s.mu.Unlock()
	}
}

// Len is the number of values, Weight the sum of their weights with what each costs besides.
func (c *Cache[V]) Len() (entries, weight int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries, weight = entries+s.entries.Len(), weight+s.weight
		s.mu.Unlock()
	}
	return entries, weight
}

// vouched reports whether trust has not run out. A cache that is silently cut off from the database stops by itself.
func (c *Cache[V]) vouched() bool { return int64(time.Since(c.epoch)) < c.trusted.Load() }

func (c *Cache[V]) shard(workspace uuid.UUID) *shard[V] {
	return &c.shards[maphash.Bytes(c.seed, workspace[:])%shardCount]
}
