-- What the operator's tools need.

-- Id of the key that the secret is sealed with; empty: in the clear, as stored by a version before this one.
ALTER TABLE products ADD COLUMN seal TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX products_seal ON products (seal);
CREATE INDEX devices_seal ON devices (seal);

-- Searches: each filter has an index that can lead.
CREATE INDEX devices_module ON devices (pk, module_version, id);
CREATE INDEX devices_battery ON devices (pk, battery, id);
CREATE INDEX devices_rsrp ON devices (pk, rsrp, id);
CREATE INDEX devices_seen ON devices (pk, last_seen, id);
DROP INDEX device_versions_component;
CREATE INDEX device_versions_component ON device_versions (component, version, device_id);
CREATE INDEX upgrades_page ON upgrades (plan_id, id);
CREATE INDEX upgrades_reason ON upgrades (plan_id, reason, id);

-- Upgrades in flight of all plans.
CREATE INDEX upgrades_in_flight ON upgrades (state) WHERE outstanding = 1;

-- Retention.
CREATE INDEX upgrade_log_age ON upgrade_log (last_at);
