-- How many devices each product has: the sum of these rows, which are only added and merged now and then.
CREATE TABLE device_counts (
    pk          TEXT COLLATE "C" NOT NULL,
    devices     BIGINT NOT NULL
);
CREATE INDEX device_counts_product ON device_counts (pk);

CREATE FUNCTION device_counts_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_counts (pk, devices) SELECT pk, COUNT(*) FROM added GROUP BY pk;
    RETURN NULL;
END $$;
CREATE FUNCTION device_counts_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_counts (pk, devices) SELECT pk, -COUNT(*) FROM gone GROUP BY pk;
    RETURN NULL;
END $$;
CREATE TRIGGER device_counts_added AFTER INSERT ON devices REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION device_counts_added();
CREATE TRIGGER device_counts_removed AFTER DELETE ON devices REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION device_counts_removed();

-- A trigger waits for who writes, and who writes waits from then on: what is there now is counted once.
INSERT INTO device_counts (pk, devices) SELECT pk, COUNT(*) FROM devices GROUP BY pk;
