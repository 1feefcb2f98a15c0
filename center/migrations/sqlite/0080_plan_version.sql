-- Counts the changes of a plan: what a center keeps of it in memory is good for one version.
ALTER TABLE plans ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
CREATE TRIGGER plans_version AFTER UPDATE OF pk, name, state, suspended_from, mode, time_zone, push, outside_period, period_from,
    period_until, start_at, end_at, retries, refusal_delay, min_battery, min_rsrp, first_devices, halt_percent, halt_after,
    max_in_flight, max_per_minute, texts, activated_at, over_at, halted, verification ON plans
BEGIN
    UPDATE plans SET version = version + 1 WHERE id = NEW.id;
END;
