-- Manual mode: what the end users of devices said.

-- Their last word to a plan; no row before they say one.
CREATE TABLE plan_answers (
    plan_id     INTEGER NOT NULL REFERENCES plans (id),
    device_id   INTEGER NOT NULL REFERENCES devices (id),
    -- confirmed, or appointed with the window's two ends.
    answer      TEXT NOT NULL,
    opens_at    INTEGER,
    closes_at   INTEGER,
    said_at     INTEGER NOT NULL,
    PRIMARY KEY (plan_id, device_id)
);
CREATE INDEX plan_answers_opens ON plan_answers (device_id, opens_at) WHERE opens_at IS NOT NULL;

ALTER TABLE devices ADD COLUMN auto_confirm TEXT NOT NULL DEFAULT 'off';
-- When the center looks by itself whether the device is due a plan; NULL: at the marks only.
ALTER TABLE devices ADD COLUMN look_at INTEGER;
CREATE INDEX devices_look ON devices (online, look_at) WHERE look_at IS NOT NULL;

-- When the end user cancelled the upgrade; a device at work may still finish it.
ALTER TABLE upgrades ADD COLUMN cancelled_at INTEGER;
