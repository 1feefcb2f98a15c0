-- Devices that may not connect, connections that are taken over, and product secrets that were replaced.

-- When an operator forbade the device to connect; NULL: it may.
ALTER TABLE devices ADD COLUMN forbidden_at BIGINT;
-- When the device was last given the product's secret of now.
ALTER TABLE devices ADD COLUMN secret_sent_at BIGINT;
-- The address that the device connected from last, and the one of the connection that this one took over.
ALTER TABLE devices ADD COLUMN peer TEXT;
ALTER TABLE devices ADD COLUMN peer_before TEXT;
-- How often a connection took over one that still stood, and since when that is counted.
ALTER TABLE devices ADD COLUMN takeovers BIGINT NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN takeovers_since BIGINT;

-- What a product's secret was before.
CREATE TABLE product_secrets (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    pk              TEXT NOT NULL REFERENCES products (pk),
    secret          TEXT NOT NULL,
    seal            TEXT NOT NULL,
    replaced_at     BIGINT NOT NULL,
    -- Until when devices without a secret of their own may still come with it.
    bootstrap_until BIGINT NOT NULL
);
CREATE INDEX product_secrets_product ON product_secrets (pk, id);
CREATE INDEX product_secrets_seal ON product_secrets (seal, id);
