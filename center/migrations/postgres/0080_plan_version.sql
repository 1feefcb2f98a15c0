-- Counts the changes of a plan: what a center keeps of it in memory is good for one version. A trigger, so that a center of
-- an earlier version beside this one counts too.
ALTER TABLE plans ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
CREATE FUNCTION plans_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_version BEFORE UPDATE OF pk, name, state, suspended_from, mode, time_zone, push, outside_period, period_from,
    period_until, start_at, end_at, retries, refusal_delay, min_battery, min_rsrp, first_devices, halt_percent, halt_after,
    max_in_flight, max_per_minute, texts, activated_at, over_at, halted, verification ON plans
    FOR EACH ROW EXECUTE FUNCTION plans_version();
