//! What was said about one upgrade, as it stands beside the upgrade.

use serde::Serialize;

use super::error::ApiError;
use crate::store::{LogEntry, Reader, UpgradeId};

/// Lines beside one upgrade at most.
pub const LINES: i64 = 1_000;
/// Lines beside each upgrade of a list at most.
pub const LINES_IN_LIST: i64 = 100;

/// The last lines of an upgrade's log.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct UpgradeLog {
    /// Oldest first; at most 1000 lines, 100 in a list of upgrades.
    log: Vec<LogEntry>,
    /// The `after` with which the device's log goes on before these lines; null: there is nothing before them.
    log_before: Option<String>,
}

impl UpgradeLog {
    /// Its last `limit` lines.
    pub(super) async fn of(store: &mut Reader, upgrade: UpgradeId, limit: i64) -> Result<Self, ApiError> {
        let page = store.upgrade_log(upgrade, limit).await?;
        Ok(Self { log: page.rows, log_before: page.next.map(|line| line.to_string()) })
    }
}
