-- +goose Up
-- The latest that a provider was seen to be against assumptions A1 and A2 of the send protocol. Like the provider's budget it
-- belongs to no workspace: a provider is late for all of them, and the row names no person.
CREATE TABLE provider_lateness (
    provider text NOT NULL,
    assumption text NOT NULL CHECK (assumption IN ('A1', 'A2')),
    seen_ms bigint NOT NULL CHECK (seen_ms > 0),
    -- By the database's clock: when it was last later than configured, and how often since it was trusted.
    seen_time timestamptz NOT NULL DEFAULT now(),
    sightings bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (provider, assumption)
);

-- +goose Down
DROP TABLE provider_lateness;
