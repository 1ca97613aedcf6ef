-- Requests that wait or waited for a human.
CREATE TABLE approvals (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    actor TEXT NOT NULL,
    target TEXT NOT NULL,
    intent TEXT NOT NULL,
    session TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'withdrawn')),
    ask TEXT NOT NULL,
    -- What was asked, unmasked: only while it can still be dispatched.
    arguments TEXT,
    created_at DOUBLE PRECISION NOT NULL,
    deadline DOUBLE PRECISION NOT NULL,
    resolution TEXT NOT NULL DEFAULT '',
    resolved_at DOUBLE PRECISION,
    grant_id TEXT NOT NULL DEFAULT ''
);

CREATE INDEX approvals_by_state ON approvals (state, seq);

-- A retry folds into the request that is pending: there is never a second one.
CREATE UNIQUE INDEX approvals_one_pending ON approvals (principal, actor, target, intent, session)
    WHERE state = 'pending';

CREATE TABLE votes (
    approval TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    vote TEXT NOT NULL,
    PRIMARY KEY (approval, number)
);

CREATE TABLE grants (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    approval TEXT NOT NULL UNIQUE REFERENCES approvals (id) ON DELETE CASCADE,
    principal TEXT NOT NULL,
    actor TEXT NOT NULL,
    target TEXT NOT NULL,
    intent TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('request', 'window', 'session')),
    state TEXT NOT NULL
        CHECK (state IN ('active', 'spent', 'answered', 'unknown', 'void', 'revoked', 'expired')),
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    session TEXT NOT NULL,
    wire TEXT NOT NULL DEFAULT '',
    exchange TEXT NOT NULL DEFAULT ''
);

CREATE INDEX grants_active ON grants (principal, target, intent) WHERE state = 'active';

-- Every dispatch under a grant: one for a single-use grant, many for a window.
CREATE TABLE spends (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    exchange TEXT NOT NULL,
    wire TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('spent', 'answered', 'unknown')),
    settled_at DOUBLE PRECISION,
    UNIQUE (grant_id, exchange)
);

CREATE INDEX spends_open ON spends (state) WHERE state = 'spent';

-- Why something was turned away, for the operator who has the id.
CREATE TABLE refusals (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at DOUBLE PRECISION NOT NULL,
    kind TEXT NOT NULL,
    public TEXT NOT NULL,
    detail TEXT NOT NULL,
    exchange TEXT NOT NULL,
    principal TEXT NOT NULL,
    target TEXT NOT NULL,
    rules TEXT NOT NULL
);

CREATE INDEX refusals_by_time ON refusals (at);

-- Small facts that outlive the process, by name.
CREATE TABLE notes (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL
);
