-- Whose a session or task of an upstream is. Never the id itself, which opens it: only its digest.
CREATE TABLE handles (
    digest BYTEA PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('session', 'task')),
    principal TEXT NOT NULL,
    -- What was agreed when it began, JSON.
    facts TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    used_at DOUBLE PRECISION NOT NULL
);

CREATE INDEX handles_by_use ON handles (used_at);
