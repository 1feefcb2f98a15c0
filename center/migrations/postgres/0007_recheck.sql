-- When the center evaluates the plans of a device by itself; NULL: at the marks only.
DROP INDEX devices_look;
ALTER TABLE devices RENAME COLUMN look_at TO recheck_at;
CREATE INDEX devices_recheck ON devices (online, recheck_at) WHERE recheck_at IS NOT NULL;
