-- Rounds of held calls that were used: each is good once.
CREATE TABLE spent_rounds (
    id TEXT PRIMARY KEY,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_rounds_by_time ON spent_rounds (until);
