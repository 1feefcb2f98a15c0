-- What refers to a device is looked for when the device is deleted, and by SQLite whenever it is entered.
CREATE INDEX plan_answers_device ON plan_answers (device_id);
CREATE INDEX plan_starts_device ON plan_starts (device_id);
CREATE INDEX taken_over_device ON taken_over (device_id);
