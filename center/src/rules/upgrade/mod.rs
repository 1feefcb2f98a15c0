//! The upgrade of one device: the aggregate of a plan, a device and its components.

use serde::Serialize;

use super::progress::{ComponentState, UpgradeState};
use super::verification::{Stage, VerificationState};
use super::{ComponentKind, ComponentNo, DeviceId, PackageId, PlanId, UpgradeId, Version};
use crate::clock::Millis;

/// The upgrade of one device by one plan; born at its first offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upgrade {
    /// Number.
    pub id: UpgradeId,
    /// The plan; none for a firmware verification.
    pub plan: Option<PlanId>,
    /// The device.
    pub device: DeviceId,
    /// Roll-up of its components.
    pub state: UpgradeState,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// First offer.
    pub created: Millis,
    /// First status 2.
    pub confirmed: Option<Millis>,
    /// When the center offers again by itself; none: at no certain time.
    pub next_offer: Option<Millis>,
    /// When the end user cancelled it; a device that was at work may still finish.
    pub cancelled: Option<Millis>,
    /// Its end, for good.
    pub ended: Option<Millis>,
    /// When a firmware verification must be at its end; none: a plan's upgrade has leases only.
    pub deadline: Option<Millis>,
    /// Components in the order of their upgrade.
    pub components: Vec<ComponentUpgrade>,
}

impl Upgrade {
    /// Not started, and not in the store yet: its number is given there.
    pub fn new(
        plan: Option<PlanId>,
        device: DeviceId,
        created: Millis,
        components: Vec<ComponentUpgrade>,
    ) -> Self {
        Upgrade {
            id: UpgradeId(0),
            plan,
            device,
            state: UpgradeState::NotUpgraded,
            reason: None,
            created,
            confirmed: None,
            next_offer: None,
            cancelled: None,
            ended: None,
            deadline: None,
            components,
        }
    }

    /// Whether the store has not given it a number.
    pub fn is_new(&self) -> bool {
        self.id == UpgradeId(0)
    }
}

/// The upgrade of one component of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentUpgrade {
    /// The component.
    pub component: ComponentNo,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// The version package.
    pub package: PackageId,
    /// What the device reported when it was offered.
    pub source: Option<String>,
    /// What it is to become.
    pub target: Version,
    /// Where it is.
    pub state: ComponentState,
    /// Why it failed.
    pub reason: Option<String>,
    /// Failed attempts that count.
    pub failures: u32,
    /// Bytes that the device has fetched so far.
    pub fetched: u64,
    /// The same when it failed last.
    #[serde(skip)]
    pub fetched_before: u64,
    /// Whether the device asked for SHA-256 with status 2.
    #[serde(skip)]
    pub wants_sha256: bool,
    /// Whether a status 11 waits for the version that proves it.
    #[serde(skip)]
    pub proving: bool,
    /// Until when the device must be heard of; none: nothing is in flight.
    pub lease_until: Option<Millis>,
    /// Last change.
    pub updated: Millis,
}

impl Upgrade {
    /// The component whose turn it is: the first one that is not done.
    pub fn current(&self) -> Option<usize> {
        self.components.iter().position(|component| !component.state.is_done())
    }

    /// Whether it has the device busy: an offer that may still be answered, or an attempt at work.
    pub fn is_outstanding(&self) -> bool {
        self.components.iter().any(|component| {
            component.lease_until.is_some()
                && (component.state.is_in_flight()
                    || matches!(
                        component.state,
                        ComponentState::PlanNotReceived | ComponentState::PlanReceived
                    ))
        })
    }

    /// Whether the device has confirmed and is at work.
    pub fn is_at_work(&self) -> bool {
        self.is_outstanding() && self.confirmed.is_some() && self.state == UpgradeState::Upgrading
    }

    /// Where it is, as a firmware verification.
    pub fn verification_state(&self) -> VerificationState {
        let stage = match (self.ended, self.confirmed) {
            (Some(_), _) => Stage::Ended,
            (None, Some(_)) => Stage::Confirmed,
            (None, None) => Stage::Open,
        };
        VerificationState::of(self.state, stage)
    }

    /// Whether the device may fetch the component's files now: it has confirmed, its user has not cancelled, and it is not
    /// at its end.
    pub fn may_fetch(&self, component: &ComponentNo) -> bool {
        self.ended.is_none()
            && self.cancelled.is_none()
            && self.confirmed.is_some()
            && self
                .components
                .iter()
                .any(|upgrade| upgrade.component == *component && !upgrade.state.is_done())
    }
}
