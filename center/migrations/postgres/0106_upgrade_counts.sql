-- How many of a plan's devices are in which state for which reason: the sum of these rows. Triggers add to it, also for a
-- center of an earlier version beside this one; rows are only added, so that no two transactions wait for each other, and
-- merged now and then. A reason that is none is the empty text.
CREATE TABLE upgrade_counts (
    plan_id     BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    devices     BIGINT NOT NULL
);
CREATE INDEX upgrade_counts_plan ON upgrade_counts (plan_id, state, reason);

CREATE FUNCTION upgrade_counts_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO upgrade_counts (plan_id, state, reason, devices)
        SELECT plan_id, state, COALESCE(reason, ''), COUNT(*) FROM added WHERE plan_id IS NOT NULL
        GROUP BY plan_id, state, COALESCE(reason, '');
    RETURN NULL;
END $$;
CREATE FUNCTION upgrade_counts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO upgrade_counts (plan_id, state, reason, devices)
        SELECT plan_id, state, reason, SUM(devices) FROM (
            SELECT plan_id, state, COALESCE(reason, '') AS reason, 1 AS devices FROM added
            UNION ALL SELECT plan_id, state, COALESCE(reason, ''), -1 FROM gone) AS both_sides
        WHERE plan_id IS NOT NULL GROUP BY plan_id, state, reason HAVING SUM(devices) <> 0;
    RETURN NULL;
END $$;
CREATE FUNCTION upgrade_counts_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO upgrade_counts (plan_id, state, reason, devices)
        SELECT plan_id, state, COALESCE(reason, ''), -COUNT(*) FROM gone WHERE plan_id IS NOT NULL
        GROUP BY plan_id, state, COALESCE(reason, '');
    RETURN NULL;
END $$;
CREATE TRIGGER upgrade_counts_added AFTER INSERT ON upgrades REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION upgrade_counts_added();
CREATE TRIGGER upgrade_counts_changed AFTER UPDATE ON upgrades REFERENCING NEW TABLE AS added OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION upgrade_counts_changed();
CREATE TRIGGER upgrade_counts_removed AFTER DELETE ON upgrades REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION upgrade_counts_removed();

-- A trigger waits for who writes, and who writes waits from then on: what is there now is counted once.
INSERT INTO upgrade_counts (plan_id, state, reason, devices)
    SELECT plan_id, state, COALESCE(reason, ''), COUNT(*) FROM upgrades WHERE plan_id IS NOT NULL
    GROUP BY plan_id, state, COALESCE(reason, '');
