//! A large fleet as SQL, for both databases: rows as the center itself would have written them by and by, written at once.
//!
//! The product with its component MCU, its packages and its plans is there already. Used by `cargo xtask bench console`, by
//! `cargo xtask bench center` and by the test of the queries' plans.

/// Which database the rows are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // each user of this file has its own
pub enum Database {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// How far the devices of a plan are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // each user of this file has its own
pub enum Stage {
    /// 62 of 100 are upgraded, 8 failed for one of twelve reasons, 2 are at work, 3 need nothing, 25 wait.
    Mixed,
    /// All of them have confirmed and download.
    AtWork,
    /// All of them wait for their next offer, which is due, and are offline.
    Due,
}

/// Devices of `product`, offline: with keys 86 and thirteen digits, module and MCU versions, battery and signal.
pub fn devices(database: Database, product: &str, component: &str, count: u64) -> String {
    let key = match database {
        Database::Sqlite => "'86' || substr('0000000000000' || i, -13)",
        Database::Postgres => "'86' || lpad(CAST(i AS TEXT), 13, '0')",
    };
    let module = match database {
        Database::Sqlite => "printf('%02d', i % 12)",
        Database::Postgres => "lpad(CAST(i % 12 AS TEXT), 2, '0')",
    };
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO devices (pk, dk, client_id, secret, seal, push_slot, created_at, last_seen, online, module_version, versions_at, battery, rsrp)
SELECT pk, {key}, 'qd' || pk || {key}, secret, seal, i * 7919 % 600, created_at, created_at + i, 0,
  'EC200UCNAAR03A' || {module}, created_at, i % 101, -(60 + i % 60)
FROM n CROSS JOIN products WHERE pk = '{product}';
INSERT INTO device_versions (device_id, component, version)
SELECT id, '{component}', CASE WHEN id % 100 < 62 THEN '2_0_0' ELSE '1_0_' || (id % 7) END FROM devices WHERE pk = '{product}';
"
    )
}

/// The first `count` devices of plan `plan` are at `stage`, of component `component` and package `package`.
pub fn upgrades(plan: u64, component: &str, package: u64, stage: Stage, count: u64) -> String {
    let (state, reason, next, ended) = match stage {
        Stage::Mixed => (
            "CASE WHEN devices.id % 100 < 62 THEN 'upgraded' WHEN devices.id % 100 < 70 THEN 'upgrade_failed' \
             WHEN devices.id % 100 < 72 THEN 'upgrading' WHEN devices.id % 100 < 75 THEN 'no_update_required' ELSE 'not_upgraded' END",
            "CASE WHEN devices.id % 100 BETWEEN 62 AND 69 THEN 'the device reports a failed upgrade (status 12): code ' || (devices.id % 12) \
             WHEN devices.id % 100 >= 75 THEN 'battery 12 % < 30 %' END",
            "NULL",
            "CASE WHEN devices.id % 100 < 70 THEN plans.activated_at - 86400000 + devices.id * 80 END",
        ),
        Stage::AtWork => ("'upgrading'", "NULL", "NULL", "NULL"),
        Stage::Due => ("'not_upgraded'", "NULL", "plans.activated_at - 1000", "NULL"),
    };
    let lease = if stage == Stage::AtWork { "updated_at + 864000000" } else { "NULL" };
    format!(
        "INSERT INTO upgrades (plan_id, device_id, state, reason, created_at, confirmed_at, ended_at, next_offer_at, outstanding)
SELECT plans.id, devices.id, {state}, {reason},
  plans.activated_at - 86400000 + devices.id * 50, plans.activated_at - 86400000 + devices.id * 60, {ended}, {next}, {outstanding}
FROM devices CROSS JOIN plans WHERE plans.id = {plan} AND devices.pk = plans.pk AND devices.id <= {count};
INSERT INTO component_upgrades (upgrade_id, position, component, kind, package_id, source, target, state, failures, fetched, fetched_before, wants_sha256, proving, updated_at)
SELECT id, 0, '{component}', 'mcu', {package}, '1_0_0', '2_0_0',
  CASE state WHEN 'upgraded' THEN 'upgrade_succeeded' WHEN 'upgrade_failed' THEN 'upgrade_failed' WHEN 'upgrading' THEN 'downloading'
    WHEN 'no_update_required' THEN 'no_update_required' ELSE 'plan_received' END,
  0, 5000, 0, 0, 0, coalesce(ended_at, created_at)
FROM upgrades WHERE plan_id = {plan};
UPDATE component_upgrades SET lease_until = {lease} WHERE upgrade_id IN (SELECT id FROM upgrades WHERE plan_id = {plan});
UPDATE plans SET state = 'upgrading', activated_at = activated_at - 86400000 WHERE id = {plan};
",
        outstanding = i64::from(stage == Stage::AtWork),
    )
}

/// Statements that SQLite takes at once, with nothing lost but its durability; nobody else may have the file open.
#[allow(dead_code)] // each user of this file has its own
pub fn at_once(statements: &str) -> String {
    format!(
        "PRAGMA journal_mode = MEMORY;\nPRAGMA synchronous = OFF;\nPRAGMA cache_size = -1000000;\nBEGIN;\n{statements}COMMIT;\n\
         PRAGMA journal_mode = WAL;\n"
    )
}
