-- Wrong passwords of late, by where they came from: of an account at an address, or of an address.
CREATE TABLE sign_in_tries (
    origin          TEXT PRIMARY KEY,
    wrong           INTEGER NOT NULL,
    last_at         INTEGER NOT NULL,
    until_at        INTEGER NOT NULL
);
CREATE INDEX sign_in_tries_age ON sign_in_tries (last_at);
