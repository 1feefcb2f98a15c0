-- Wrong passwords of late, by where they came from: of an account at an address, or of an address.
CREATE TABLE sign_in_tries (
    origin          TEXT COLLATE "C" PRIMARY KEY,
    wrong           BIGINT NOT NULL,
    last_at         BIGINT NOT NULL,
    until_at        BIGINT NOT NULL
);
CREATE INDEX sign_in_tries_age ON sign_in_tries (last_at);
