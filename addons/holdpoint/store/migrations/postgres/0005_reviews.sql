-- What a request would change, why it was asked, and what is listed and searched without reading the whole of it.
ALTER TABLE approvals ADD COLUMN dry_run TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN glass TEXT NOT NULL DEFAULT '' CHECK (glass IN ('', 'broken', 'reviewed'));
ALTER TABLE approvals ADD COLUMN person TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN verb TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN resource TEXT NOT NULL DEFAULT '';
-- Grows with every change: two gateways that share the store never overwrite each other's.
ALTER TABLE approvals ADD COLUMN version BIGINT NOT NULL DEFAULT 0;

CREATE INDEX approvals_by_person ON approvals (person, seq);
CREATE INDEX approvals_by_target ON approvals (target, seq);
CREATE INDEX approvals_broken ON approvals (person) WHERE glass = 'broken';

-- What a window pins, in place of the whole intent; how long what it opened may stay open; how it ended.
ALTER TABLE grants ADD COLUMN pinned TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN opens TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN stream_until DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN ended_at DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN ended_why TEXT NOT NULL DEFAULT '';

CREATE INDEX grants_pinned ON grants (principal, target, pinned) WHERE state = 'active';
CREATE INDEX grants_by_state ON grants (state, seq);

-- Who is turned away whatever policy says, until somebody lets them in again.
CREATE TABLE suspensions (
    who TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    until DOUBLE PRECISION NOT NULL DEFAULT 0
);

-- What people are told, kept until it arrived or was given up.
CREATE TABLE notices (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    sink TEXT NOT NULL,
    kind TEXT NOT NULL,
    approval TEXT NOT NULL DEFAULT '',
    body TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('due', 'delivered', 'dead')),
    error TEXT NOT NULL DEFAULT ''
);

CREATE INDEX notices_due ON notices (due_at) WHERE state = 'due';
CREATE INDEX notices_of ON notices (approval);
