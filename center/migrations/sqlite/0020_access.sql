-- Who may use the API and the pages.

CREATE TABLE accounts (
    name            TEXT PRIMARY KEY,
    -- Argon2id in PHC form; NULL: signs in by OpenID Connect alone.
    password        TEXT,
    role            TEXT NOT NULL,
    -- Product keys as a JSON array; NULL: every product.
    products        TEXT,
    -- The password is a one-time one.
    must_change     INTEGER NOT NULL,
    -- Issuer and subject at the OpenID Connect provider.
    subject         TEXT UNIQUE,
    created_at      INTEGER NOT NULL,
    signed_in_at    INTEGER
);

-- Bearer tokens: only their SHA-256 is kept.
CREATE TABLE api_tokens (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    digest          TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    -- NULL: an end user's token, for the devices alone.
    role            TEXT,
    products        TEXT,
    -- "product/device" as a JSON array.
    devices         TEXT,
    made_by         TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    used_at         INTEGER
);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE role IS NOT NULL;
CREATE INDEX api_tokens_expiry ON api_tokens (expires_at) WHERE expires_at IS NOT NULL;

-- Browsers that signed in: only the SHA-256 of their cookie is kept.
CREATE TABLE sessions (
    digest          TEXT PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES accounts (name),
    address         TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL
);
CREATE INDEX sessions_account ON sessions (account);
CREATE INDEX sessions_age ON sessions (seen_at);
