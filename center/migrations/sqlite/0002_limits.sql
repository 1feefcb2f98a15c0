-- Limits of a plan's strategy, exact across a restart.

-- The upgrade has its device busy: an offer that may still be answered, or an attempt at work.
ALTER TABLE upgrades ADD COLUMN outstanding INTEGER NOT NULL DEFAULT 0;
UPDATE upgrades SET outstanding = 1 WHERE ended_at IS NULL AND EXISTS (
    SELECT 1 FROM component_upgrades AS busy WHERE busy.upgrade_id = upgrades.id AND busy.lease_until IS NOT NULL
    AND busy.state IN ('plan_not_received', 'plan_received', 'upgrade_confirmed', 'ready_to_download',
                       'downloading', 'downloaded', 'upgrading'));
CREATE INDEX upgrades_outstanding ON upgrades (plan_id, state) WHERE outstanding = 1;

-- Devices that finished since the plan was activated or resumed, and how many of them failed.
ALTER TABLE plans ADD COLUMN halt_finished INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plans ADD COLUMN halt_failed INTEGER NOT NULL DEFAULT 0;
-- Why the plan suspended itself.
ALTER TABLE plans ADD COLUMN halted TEXT;

-- Starts of the last minute, of plans that limit them.
CREATE TABLE plan_starts (
    plan_id     INTEGER NOT NULL REFERENCES plans (id),
    device_id   INTEGER NOT NULL REFERENCES devices (id),
    at          INTEGER NOT NULL
);
CREATE INDEX plan_starts_plan ON plan_starts (plan_id, at);
