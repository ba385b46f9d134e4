-- +goose Up
-- What may still be asked of a provider: one row per provider, app and account (GHL: location). It belongs to no
-- workspace: the limit is the provider's, and it names no person.
CREATE TABLE provider_budget (
    provider text NOT NULL,
    app text NOT NULL,
    account text NOT NULL,
    limit_calls integer NOT NULL CHECK (limit_calls >= 1),
    limit_interval_ms bigint NOT NULL CHECK (limit_interval_ms >= 1),
    -- Theoretical arrival times of the generic cell rate algorithm, for all calls and for reads.
    tat timestamptz NOT NULL,
    read_tat timestamptz NOT NULL,
    hold_until timestamptz,
    hold_window text NOT NULL DEFAULT '' CHECK (hold_window IN ('', 'burst', 'daily')),
    daily_limit integer NOT NULL DEFAULT 0,
    daily_left integer NOT NULL DEFAULT 0,
    daily_time timestamptz,
    PRIMARY KEY (provider, app, account)
);

-- +goose Down
DROP TABLE provider_budget;
