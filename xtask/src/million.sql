-- A plan with a million devices of one product: a tenth was not offered it yet; of the others most are upgraded, some failed for
-- one of twelve reasons, some wait, some are at work. The center that made product, package and plan is stopped meanwhile.
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -1000000;
BEGIN;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO devices (pk, dk, client_id, secret, seal, push_slot, created_at, last_seen, online, module_version, versions_at, battery, rsrp)
SELECT pk, printf('86%013d', i), 'qd' || pk || printf('86%013d', i), secret, seal, i * 7919 % 600, created_at, created_at + i, 0,
  'EC200UCNAAR03A' || printf('%02d', i % 12), created_at, i % 101, -(60 + i % 60)
FROM n, products;
INSERT INTO device_versions (device_id, component, version)
SELECT id, 'STM32', CASE WHEN id % 100 < 62 THEN '2_0_0' ELSE '1_0_' || (id % 7) END FROM devices;
INSERT INTO upgrades (plan_id, device_id, state, reason, created_at, confirmed_at, ended_at, outstanding)
SELECT plans.id, devices.id,
  CASE WHEN devices.id % 100 < 62 THEN 'upgraded' WHEN devices.id % 100 < 70 THEN 'upgrade_failed'
    WHEN devices.id % 100 < 72 THEN 'upgrading' WHEN devices.id % 100 < 75 THEN 'no_update_required' ELSE 'not_upgraded' END,
  CASE WHEN devices.id % 100 BETWEEN 62 AND 69 THEN 'the device reports a failed upgrade (status 12): code ' || (devices.id % 12)
    WHEN devices.id % 100 >= 75 THEN 'battery 12 % < 30 %' END,
  plans.activated_at - 86400000 + devices.id * 50, plans.activated_at - 86400000 + devices.id * 60,
  CASE WHEN devices.id % 100 < 70 THEN plans.activated_at - 86400000 + devices.id * 80 END, 0
FROM devices, plans WHERE devices.id <= 900000;
INSERT INTO component_upgrades (upgrade_id, position, component, kind, package_id, source, target, state, failures, fetched, fetched_before, wants_sha256, proving, updated_at)
SELECT id, 0, 'STM32', 'mcu', 1, '1_0_0', '2_0_0',
  CASE state WHEN 'upgraded' THEN 'upgrade_succeeded' WHEN 'upgrade_failed' THEN 'upgrade_failed' WHEN 'upgrading' THEN 'downloading'
    WHEN 'no_update_required' THEN 'no_update_required' ELSE 'plan_received' END,
  0, 5000, 0, 0, 0, coalesce(ended_at, created_at)
FROM upgrades;
UPDATE plans SET state = 'upgrading', activated_at = activated_at - 86400000;
COMMIT;
PRAGMA journal_mode = WAL;
