-- What MCP servers said of their tools: one row for each definition that was approved, or seen and not approved yet.
CREATE TABLE tool_pins (
    target TEXT NOT NULL,
    tool TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    -- Fingerprint without what only labels it; empty where there is too little to tell.
    content TEXT NOT NULL,
    -- Canonical JSON as the server sent it; empty where it is too large to keep.
    definition TEXT NOT NULL,
    size BIGINT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pinned', 'changed', 'renamed', 'duplicate', 'hidden', 'unknown')),
    why TEXT NOT NULL,
    other TEXT NOT NULL,
    -- Number of the listing in which it was seen last, and of that in which the server listed the tool more than once.
    sight BIGINT NOT NULL,
    duplicate BIGINT NOT NULL,
    first_at DOUBLE PRECISION NOT NULL,
    approved_by TEXT NOT NULL,
    approved_at DOUBLE PRECISION,
    PRIMARY KEY (target, tool, fingerprint)
);
