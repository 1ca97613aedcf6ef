-- Rounds of held calls that were used: each is good once.
CREATE TABLE spent_rounds (
    id TEXT PRIMARY KEY,
    until DOUBLE PRECISION NOT NULL
);

CREATE INDEX spent_rounds_by_time ON spent_rounds (until);
