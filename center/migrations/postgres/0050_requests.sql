-- Requests with an Idempotency-Key, for a day: the same one, sent again, gets the same answer and has no further effect.
CREATE TABLE kept_answers (
    -- SHA-256 of who asked and their key.
    digest      TEXT PRIMARY KEY,
    -- SHA-256 of what was asked.
    fingerprint TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    -- NULL: there is no answer yet.
    status      BIGINT,
    -- The answer, sealed with the caller's key.
    answer      TEXT
);
CREATE INDEX kept_answers_age ON kept_answers (created_at);

-- Locked by a center that makes a change on condition.
CREATE TABLE conditional_changes (
    held        BIGINT
);
