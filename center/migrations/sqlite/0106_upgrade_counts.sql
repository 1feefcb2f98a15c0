-- How many of a plan's devices are in which state for which reason. Triggers keep it, so that every way to change an upgrade
-- counts. A reason that is none is the empty text.
CREATE TABLE upgrade_counts (
    plan_id     INTEGER NOT NULL,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    devices     INTEGER NOT NULL,
    PRIMARY KEY (plan_id, state, reason)
) WITHOUT ROWID;
INSERT INTO upgrade_counts (plan_id, state, reason, devices)
    SELECT plan_id, state, COALESCE(reason, ''), COUNT(*) FROM upgrades WHERE plan_id IS NOT NULL
    GROUP BY plan_id, state, COALESCE(reason, '');

CREATE TRIGGER upgrade_counts_added AFTER INSERT ON upgrades WHEN NEW.plan_id IS NOT NULL
BEGIN
    INSERT INTO upgrade_counts (plan_id, state, reason, devices)
        VALUES (NEW.plan_id, NEW.state, COALESCE(NEW.reason, ''), 1)
        ON CONFLICT (plan_id, state, reason) DO UPDATE SET devices = devices + 1;
END;
CREATE TRIGGER upgrade_counts_changed AFTER UPDATE OF state, reason ON upgrades
WHEN NEW.plan_id IS NOT NULL AND (NEW.state <> OLD.state OR NEW.reason IS NOT OLD.reason)
BEGIN
    UPDATE upgrade_counts SET devices = devices - 1
        WHERE plan_id = OLD.plan_id AND state = OLD.state AND reason = COALESCE(OLD.reason, '');
    DELETE FROM upgrade_counts
        WHERE plan_id = OLD.plan_id AND state = OLD.state AND reason = COALESCE(OLD.reason, '') AND devices = 0;
    INSERT INTO upgrade_counts (plan_id, state, reason, devices)
        VALUES (NEW.plan_id, NEW.state, COALESCE(NEW.reason, ''), 1)
        ON CONFLICT (plan_id, state, reason) DO UPDATE SET devices = devices + 1;
END;
CREATE TRIGGER upgrade_counts_removed AFTER DELETE ON upgrades WHEN OLD.plan_id IS NOT NULL
BEGIN
    UPDATE upgrade_counts SET devices = devices - 1
        WHERE plan_id = OLD.plan_id AND state = OLD.state AND reason = COALESCE(OLD.reason, '');
    DELETE FROM upgrade_counts
        WHERE plan_id = OLD.plan_id AND state = OLD.state AND reason = COALESCE(OLD.reason, '') AND devices = 0;
END;
