-- What a page of requests does not need is kept apart from what it does: a list parses no large preview.
-- Empty: the preview stands whole in `ask`, what was tried whole in `dry_run`.
ALTER TABLE approvals ADD COLUMN preview TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN shown TEXT NOT NULL DEFAULT '';
-- Digest of all that reviewers read.
ALTER TABLE approvals ADD COLUMN read_digest TEXT NOT NULL DEFAULT '';

-- Who broke the glass: one of the requesters, not always the caller. Nobody breaks a second one before the first was reviewed.
ALTER TABLE approvals ADD COLUMN glass_by TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX approvals_one_broken ON approvals (glass_by) WHERE glass = 'broken';

-- Who may read a request: `group:NAME` and `person:NAME` of its reviewers, `requester:NAME` of those who ask.
CREATE TABLE readers (
    approval TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (approval, name)
) STRICT, WITHOUT ROWID;
