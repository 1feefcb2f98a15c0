//! What pages count: each count by itself, so that they run at the same time and are remembered by themselves.

use super::Console;
use super::memo::{Asked, Counted};
use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::engine::BlockedDevices;
use crate::rules::plan::{PlanState, TERMINATED_UNREACHED};
use crate::rules::progress::{Figures, Presence};
use crate::rules::{ComponentKind, DeviceKey, ProductKey};
use crate::store::{FailureCount, Plan, PlanChange, PlanHistory, PlanId, ReasonCount, VersionCount};

/// Parts of a plan's time that its history has.
pub const HISTORY_PARTS: i64 = 60;
/// Days of failures.
pub const DAYS: i64 = 7;
/// Devices that fell back that are named.
const FALLEN: usize = 3;
/// Versions of a component that are named.
const VERSIONS: i64 = 5;
/// Reasons that a plan's page names at most.
const REASONS: i64 = 100;

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A plan's devices by state.
#[derive(Debug, Clone, Copy)]
pub struct PlanFigures {
    /// Those that it was offered to.
    pub figures: Figures,
    /// How many devices it is for.
    pub population: u64,
    /// Devices on its whitelist and on its blacklist.
    pub listed: [u64; 2],
}

impl PlanFigures {
    /// Counts them.
    pub async fn of(console: Console, plan: Plan) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        let totals = store.plan_totals(plan.id, &plan.settings.product).await?;
        let (white, black) = (totals.whitelist, totals.blacklist);
        let population = if white == 0 { totals.product } else { white };
        let listed = [count(white), count(black)];
        Ok(Self { figures: totals.figures, population: count(population), listed })
    }

    /// Those that it has not been offered to.
    pub fn unreached(&self) -> u64 {
        self.population.saturating_sub(self.reached())
    }

    /// Those that it has been offered to.
    pub fn reached(&self) -> u64 {
        let Figures { not_required, not_upgraded, upgrading, upgraded, failed } = self.figures;
        not_required + not_upgraded + upgrading + upgraded + failed
    }
}

impl Counted for PlanFigures {
    fn rows(&self) -> u64 {
        self.population.max(self.reached())
    }
}

/// What takes longer to count of a plan.
#[derive(Debug)]
pub struct PlanCounts {
    /// Devices by state and reason.
    pub reasons: Vec<ReasonCount>,
    /// Why devices wait, of a plan that is active.
    pub blocked: Option<BlockedDevices>,
    /// Devices over time.
    pub history: PlanHistory,
    /// What was done to the plan, and what it did by itself.
    pub changes: Vec<PlanChange>,
}

impl PlanCounts {
    async fn of(console: Console, plan: Plan) -> Result<Self, ApiError> {
        let (id, now) = (plan.id, console.engine().clock().now());
        let mut store = console.read().await?;
        let reasons = store.plan_reasons(id, None, REASONS).await?;
        let offered = reasons.iter().filter(|reason| reason.reason.as_deref() != Some(TERMINATED_UNREACHED));
        let devices = offered.map(|reason| count(reason.devices)).sum();
        let history = match plan.activated {
            Some(from) => {
                let until = plan.over.unwrap_or(now).max(from);
                store.plan_history(id, (from, until), HISTORY_PARTS, devices).await?
            }
            None => PlanHistory::default(),
        };
        let changes = store.plan_changes(id).await?;
        drop(store);
        let blocked = if is_active(plan.state) { Some(console.engine().blocked(id).await?) } else { None };
        Ok(Self { reasons, blocked, history, changes })
    }
}

impl Counted for PlanCounts {
    fn rows(&self) -> u64 {
        let offered = self.reasons.iter().map(|reason| count(reason.devices)).sum();
        self.blocked.as_ref().map_or(offered, |blocked| count(blocked.devices).max(offered))
    }
}

/// Whether a plan in this state may be offered, now or after it is resumed.
pub fn is_active(state: PlanState) -> bool {
    matches!(state, PlanState::Activated | PlanState::Upgrading | PlanState::Suspended)
}

/// A product's devices.
#[derive(Debug, Clone, Copy)]
pub struct DeviceCounts {
    /// Those that are online.
    pub online: i64,
    /// All.
    pub devices: i64,
}

impl DeviceCounts {
    async fn of(console: Console, product: ProductKey) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        let online = store.count_devices(&product, Presence::Online).await?;
        let offline = store.count_devices(&product, Presence::Offline).await?;
        Ok(Self { online, devices: online + offline })
    }
}

impl Counted for DeviceCounts {
    fn rows(&self) -> u64 {
        count(self.devices)
    }
}

/// The most frequent versions of each component.
#[derive(Debug)]
pub struct Versions(pub Vec<(String, Vec<VersionCount>)>);

impl Versions {
    async fn of(console: Console, product: ProductKey) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        let mut versions = Vec::new();
        for component in store.components(&product).await? {
            let mcu = (component.kind == ComponentKind::Mcu).then_some(&component.no);
            let counts = store.versions_in_field(&product, mcu, VERSIONS).await?;
            if !counts.is_empty() {
                versions.push((component.no.to_string(), counts));
            }
        }
        Ok(Self(versions))
    }
}

impl Counted for Versions {
    fn rows(&self) -> u64 {
        self.0.iter().flat_map(|(_, counts)| counts).map(|version| count(version.devices)).sum()
    }
}

/// Failures of the last days.
#[derive(Debug)]
pub struct Failures {
    /// By reason and day.
    pub counts: Vec<FailureCount>,
    /// Some of the devices that fell back to an older version after their success, each with its plan.
    pub fallen: Vec<(PlanId, DeviceKey)>,
}

impl Failures {
    async fn of(console: Console) -> Result<Self, ApiError> {
        let from = console.engine().clock().now() - Millis::hours(24 * DAYS);
        let mut store = console.read().await?;
        let counts = store.failures_since(from, Millis::hours(24)).await?;
        let mut reasons: Vec<&str> = counts.iter().filter_map(fell_back).collect();
        reasons.dedup();
        let mut fallen = Vec::new();
        for reason in reasons.into_iter().take(FALLEN) {
            for id in store.failed_for(reason, from, FALLEN as i64).await? {
                let upgrade = store.upgrade(id).await?;
                if let Some(plan) = upgrade.plan {
                    fallen.push((plan, store.device_by_id(upgrade.device).await?.key));
                }
            }
        }
        fallen.truncate(FALLEN);
        Ok(Self { counts, fallen })
    }
}

impl Counted for Failures {
    fn rows(&self) -> u64 {
        self.counts.iter().map(|failure| count(failure.devices)).sum()
    }
}

/// The reason, if it is that a device reported an older version after its success.
pub fn fell_back(failure: &FailureCount) -> Option<&str> {
    let reason = failure.reason.as_deref()?;
    (reason.starts_with("reported ") && reason.ends_with("after success")).then_some(reason)
}

impl Console {
    pub(super) fn ask_figures(&self, plan: &Plan) -> Asked<PlanId, PlanFigures> {
        self.figures.ask(plan.id, PlanFigures::of(self.clone(), plan.clone()))
    }

    pub(super) fn ask_plan(&self, plan: &Plan) -> Asked<PlanId, PlanCounts> {
        self.plans.ask(plan.id, PlanCounts::of(self.clone(), plan.clone()))
    }

    pub(super) fn ask_devices(&self, product: &ProductKey) -> Asked<ProductKey, DeviceCounts> {
        self.devices.ask(product.clone(), DeviceCounts::of(self.clone(), product.clone()))
    }

    pub(super) fn ask_versions(&self, product: &ProductKey) -> Asked<ProductKey, Versions> {
        self.versions.ask(product.clone(), Versions::of(self.clone(), product.clone()))
    }

    pub(super) fn ask_failures(&self) -> Asked<(), Failures> {
        self.failures.ask((), Failures::of(self.clone()))
    }
}
