-- How many devices each product has.
CREATE TABLE device_counts (
    pk          TEXT PRIMARY KEY,
    devices     INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO device_counts (pk, devices) SELECT pk, COUNT(*) FROM devices GROUP BY pk;

CREATE TRIGGER device_counts_added AFTER INSERT ON devices
BEGIN
    INSERT INTO device_counts (pk, devices) VALUES (NEW.pk, 1)
        ON CONFLICT (pk) DO UPDATE SET devices = devices + 1;
END;
CREATE TRIGGER device_counts_removed AFTER DELETE ON devices
BEGIN
    UPDATE device_counts SET devices = devices - 1 WHERE pk = OLD.pk;
END;
