-- Whose a session or task of an upstream is. Never the id itself, which opens it: only its digest.
CREATE TABLE handles (
    digest BLOB PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('session', 'task')),
    principal TEXT NOT NULL,
    -- What was agreed when it began, JSON.
    facts TEXT NOT NULL,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX handles_by_use ON handles (used_at);
