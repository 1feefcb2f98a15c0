-- When a device was online before its last connection: FROM-UNTIL,FROM-UNTIL in milliseconds, the last ten.
ALTER TABLE devices ADD COLUMN past_connections TEXT;
