-- Who is told by HTTP what happens to plans and devices, and each message to them.

CREATE TABLE webhooks (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE,
    url             TEXT NOT NULL,
    -- ",plan.halted,plan.ended,"; NULL: all of them.
    events          TEXT,
    -- NULL: every product.
    product         TEXT,
    -- The secrets that messages are signed with, sealed.
    secret          TEXT NOT NULL,
    seal            TEXT NOT NULL,
    enabled         INTEGER NOT NULL,
    -- Why the center itself has switched it off.
    stopped         TEXT,
    made_by         TEXT NOT NULL,
    created_at      INTEGER NOT NULL
);

CREATE TABLE webhook_deliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id      INTEGER NOT NULL REFERENCES webhooks (id),
    -- Of the event: the same in each delivery and each attempt of it.
    message         TEXT NOT NULL,
    event           TEXT NOT NULL,
    body            TEXT NOT NULL,
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    -- When it is tried next. While an attempt is under way: when another center takes it for lost.
    due_at          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    -- Each attempt as a JSON array.
    log             TEXT NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_state ON webhook_deliveries (webhook_id, state, id);
