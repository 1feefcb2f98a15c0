-- Times are Unix milliseconds, flags 0 or 1, JSON is text: the same types in both databases.
-- Both folders hold the same tables; keep them in step.

CREATE TABLE products (
    pk          TEXT PRIMARY KEY,
    secret      TEXT NOT NULL,
    name        TEXT NOT NULL,
    admission   TEXT NOT NULL,
    created_at  INTEGER NOT NULL
);

CREATE TABLE components (
    pk          TEXT NOT NULL REFERENCES products (pk),
    no          TEXT NOT NULL,
    kind        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (pk, no)
);

CREATE TABLE devices (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    pk              TEXT NOT NULL REFERENCES products (pk),
    dk              TEXT NOT NULL,
    client_id       TEXT NOT NULL UNIQUE,
    secret          TEXT NOT NULL,
    push_slot       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    last_seen       INTEGER,
    -- The connection that owns the device now; NULL when offline.
    session         TEXT,
    online          INTEGER NOT NULL DEFAULT 0,
    online_since    INTEGER,
    offline_since   INTEGER,
    -- What the device reported; the *_at columns are cleared by a new connection.
    model           TEXT,
    module_version  TEXT,
    versions_at     INTEGER,
    sdk_version     TEXT,
    battery         INTEGER,
    battery_at      INTEGER,
    voltage         TEXT,
    signal          INTEGER,
    rsrp            INTEGER,
    rsrp_at         INTEGER,
    free_space      INTEGER,
    -- How far the question for battery and signal is on this connection.
    asked_status    TEXT,
    -- The last committed uplink of this connection: a repetition of it counts once.
    last_uplink     TEXT,
    UNIQUE (pk, dk)
);
CREATE INDEX devices_page ON devices (pk, id);
CREATE INDEX devices_push ON devices (pk, online, push_slot);
CREATE INDEX devices_session ON devices (session) WHERE session IS NOT NULL;

CREATE TABLE device_versions (
    device_id   INTEGER NOT NULL REFERENCES devices (id),
    component   TEXT NOT NULL,
    version     TEXT NOT NULL,
    PRIMARY KEY (device_id, component)
);
CREATE INDEX device_versions_component ON device_versions (component, version);

CREATE TABLE packages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    pk          TEXT NOT NULL,
    component   TEXT NOT NULL,
    name        TEXT NOT NULL,
    source      TEXT,
    target      TEXT NOT NULL,
    remark      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    FOREIGN KEY (pk, component) REFERENCES components (pk, no)
);
CREATE INDEX packages_page ON packages (pk, id);

CREATE TABLE package_files (
    package_id  INTEGER NOT NULL REFERENCES packages (id),
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    size        INTEGER NOT NULL,
    md5         TEXT NOT NULL,
    crc32       INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    object_key  TEXT NOT NULL,
    PRIMARY KEY (package_id, position)
);
CREATE INDEX package_files_object ON package_files (object_key);

CREATE TABLE plans (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    pk              TEXT NOT NULL REFERENCES products (pk),
    name            TEXT NOT NULL UNIQUE,
    state           TEXT NOT NULL,
    -- Where a suspended plan resumes to.
    suspended_from  TEXT,
    mode            TEXT NOT NULL,
    time_zone       TEXT NOT NULL,
    push            TEXT NOT NULL,
    outside_period  TEXT NOT NULL,
    period_from     INTEGER,
    period_until    INTEGER,
    start_at        INTEGER,
    end_at          INTEGER,
    retries         INTEGER NOT NULL,
    refusal_delay   INTEGER NOT NULL,
    min_battery     INTEGER,
    min_rsrp        INTEGER,
    first_devices   INTEGER,
    halt_percent    INTEGER,
    halt_after      INTEGER,
    max_in_flight   INTEGER,
    max_per_minute  INTEGER,
    texts           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    activated_at    INTEGER,
    over_at         INTEGER,
    -- The 10-minute mark being pushed, how long its offers are spread, and the slots done.
    mark_at         INTEGER,
    mark_spread     INTEGER NOT NULL DEFAULT 0,
    mark_done       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX plans_state ON plans (state, id);
CREATE INDEX plans_product ON plans (pk, state, activated_at);

CREATE TABLE plan_components (
    plan_id     INTEGER NOT NULL REFERENCES plans (id),
    position    INTEGER NOT NULL,
    component   TEXT NOT NULL,
    -- No foreign key: a package may go while a plan is Saved; activation then names it.
    package_id  INTEGER NOT NULL,
    PRIMARY KEY (plan_id, position),
    UNIQUE (plan_id, component)
);
CREATE INDEX plan_components_package ON plan_components (package_id);

CREATE TABLE plan_devices (
    plan_id     INTEGER NOT NULL REFERENCES plans (id),
    list        TEXT NOT NULL,
    dk          TEXT NOT NULL,
    PRIMARY KEY (plan_id, list, dk)
);

-- Written at activation: for these components the newer plan takes the place of the older one.
CREATE TABLE plan_supersedes (
    older       INTEGER NOT NULL REFERENCES plans (id),
    component   TEXT NOT NULL,
    newer       INTEGER NOT NULL REFERENCES plans (id),
    PRIMARY KEY (older, component, newer)
);

CREATE TABLE upgrades (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id         INTEGER REFERENCES plans (id),
    device_id       INTEGER NOT NULL REFERENCES devices (id),
    state           TEXT NOT NULL,
    reason          TEXT,
    created_at      INTEGER NOT NULL,
    confirmed_at    INTEGER,
    -- When the plan may be offered again by the center itself; NULL: not waiting for a time.
    next_offer_at   INTEGER,
    ended_at        INTEGER,
    UNIQUE (plan_id, device_id)
);
CREATE INDEX upgrades_device ON upgrades (device_id, id);
CREATE INDEX upgrades_open ON upgrades (device_id) WHERE ended_at IS NULL;
CREATE INDEX upgrades_plan ON upgrades (plan_id, state, id);
CREATE INDEX upgrades_due ON upgrades (next_offer_at) WHERE next_offer_at IS NOT NULL;

CREATE TABLE component_upgrades (
    upgrade_id      INTEGER NOT NULL REFERENCES upgrades (id),
    position        INTEGER NOT NULL,
    component       TEXT NOT NULL,
    kind            TEXT NOT NULL,
    package_id      INTEGER NOT NULL,
    source          TEXT,
    target          TEXT NOT NULL,
    state           TEXT NOT NULL,
    reason          TEXT,
    -- Failures that count against the plan's retries.
    failures        INTEGER NOT NULL,
    -- Bytes that the device fetched, and how many of them when it failed last.
    fetched         INTEGER NOT NULL,
    fetched_before  INTEGER NOT NULL,
    -- Signature that the device asked for with status 2.
    wants_sha256    INTEGER NOT NULL,
    -- Status 11 came: the next version report proves it or not.
    proving         INTEGER NOT NULL,
    lease_until     INTEGER,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (upgrade_id, position),
    UNIQUE (upgrade_id, component)
);
CREATE INDEX component_upgrades_lease ON component_upgrades (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE upgrade_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id   INTEGER NOT NULL REFERENCES devices (id),
    upgrade_id  INTEGER REFERENCES upgrades (id),
    component   TEXT,
    kind        TEXT NOT NULL,
    value       TEXT NOT NULL,
    at          INTEGER NOT NULL,
    -- Repetitions of the same entry are one row.
    last_at     INTEGER NOT NULL,
    times       INTEGER NOT NULL
);
CREATE INDEX upgrade_log_upgrade ON upgrade_log (upgrade_id, id);
CREATE INDEX upgrade_log_device ON upgrade_log (device_id, id);
