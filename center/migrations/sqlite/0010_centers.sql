-- Several centers on one database: PostgreSQL. Here the same tables serve the one that there is.

-- Each center that runs, and when it was alive last.
CREATE TABLE centers (
    id          TEXT PRIMARY KEY,
    run         TEXT NOT NULL,
    version     TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    beat_at     BIGINT NOT NULL
);

-- The center that holds the device's connection.
ALTER TABLE devices ADD COLUMN center TEXT GENERATED ALWAYS AS (
    CASE WHEN instr(session, '/') > 0 THEN substr(session, 1, instr(session, '/') - 1) ELSE session END) VIRTUAL;
CREATE INDEX devices_center ON devices (center) WHERE center IS NOT NULL;
DROP INDEX devices_session;

-- Connections that a center still has of devices that connected elsewhere since: it is to close them.
CREATE TABLE taken_over (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    center      TEXT NOT NULL,
    device_id   BIGINT NOT NULL REFERENCES devices (id),
    session     TEXT NOT NULL
);
CREATE INDEX taken_over_center ON taken_over (center, id);

-- How far each center is with the push at a 10-minute mark, to the devices that it holds.
CREATE TABLE plan_marks (
    plan_id     BIGINT NOT NULL REFERENCES plans (id),
    center      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    spread      BIGINT NOT NULL,
    done        BIGINT NOT NULL,
    PRIMARY KEY (plan_id, center)
);

-- Keys that download URLs are signed with. The first one signs; all of them are taken.
CREATE TABLE url_keys (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    secret      TEXT NOT NULL,
    seal        TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Sealing anew locks its rows in this order.
DROP INDEX devices_seal;
CREATE INDEX devices_seal ON devices (seal, id);
