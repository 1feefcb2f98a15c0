-- Whether a plan is offered to the devices that are online as soon as it begins, or from the next 10-minute mark on.
ALTER TABLE plans ADD COLUMN first_push TEXT NOT NULL DEFAULT 'mark';
