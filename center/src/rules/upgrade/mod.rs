//! The upgrade of one device by one plan: its state, and what changes it.
//!
//! [`Upgrade::apply`] is the only thing that changes an upgrade. The step of a single component comes from the table in
//! [`super::component_fsm`].

mod apply;
mod effect;
mod input;
#[cfg(test)]
mod tests;
mod transition;

use serde::Serialize;

pub use effect::Effect;
pub use input::{Input, Offered, PlanFacts, StatusQuery, StatusReport, UserAction};

use super::applicability::{ComponentFacts, is_needed};
use super::progress::{ComponentState, Ended, UpgradeState, roll_up};
use super::{ComponentKind, ComponentNo, DeviceId, PackageId, PlanId, UpgradeId, Version};
use crate::clock::Millis;
use crate::rules::device::DeviceFacts;

/// Why a device failed whose user did not want the upgrade.
pub const CANCELLED: &str = "cancelled by user";

/// Time that a firmware verification has from its beginning to its end, the wait for an offline device included.
pub const VERIFICATION_TIME: Millis = Millis::minutes(60);

/// The upgrade of one device by one plan, from its first offer on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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

    /// A firmware verification of the package in `facts`, to be offered from now on.
    pub fn verification(device: DeviceId, facts: ComponentFacts, now: Millis) -> Self {
        let component = ComponentUpgrade::new(facts, Offered::Yes, None, now);
        Upgrade {
            next_offer: Some(now),
            deadline: Some(now + VERIFICATION_TIME),
            ..Upgrade::new(None, device, now, vec![component])
        }
    }

    /// Whether the store has not given it a number.
    pub fn is_new(&self) -> bool {
        self.id == UpgradeId(0)
    }
}

/// How far a device is with an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The plan was never offered to the device: there is no upgrade.
    NotOffered,
    /// Not confirmed, and no offer stands: the last one was refused, withdrawn or not answered, or is still to come.
    Waiting,
    /// An offer stands; the device has not confirmed.
    Offered,
    /// The device has confirmed and works on the current component.
    AtWork,
    /// A component is done, and the offer of the next one stands.
    NextOffered,
    /// A component is done or the device has confirmed, and no offer stands.
    NextPending,
    /// An attempt failed, and another one follows.
    RetryPending,
    /// At its end, with the state of the whole upgrade.
    Ended(UpgradeState),
}

impl Phase {
    /// Whether the plan's limits count the device as in flight: an offer stands, or the device is at work.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Phase::Offered | Phase::AtWork | Phase::NextOffered)
    }

    /// The phase of an upgrade that may not exist.
    pub fn of(upgrade: Option<&Upgrade>) -> Self {
        upgrade.map_or(Phase::NotOffered, Upgrade::phase)
    }
}

/// The upgrade of one component of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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

impl ComponentUpgrade {
    /// What the device reports as its version, in the form of the target or of the version that it was offered for.
    pub fn reported_by<'d>(&self, device: &'d DeviceFacts<'_>) -> Option<&'d str> {
        let source = self.source.as_deref().unwrap_or(self.target.as_str());
        device.reported(&self.component, self.kind, &[self.target.as_str(), source])
    }

    /// Whether its lease has run out.
    pub fn is_lease_over(&self, now: Millis) -> bool {
        self.lease_until.is_some_and(|until| until <= now)
    }

    /// A component before its offer; what an earlier offer left of it stays.
    pub fn new(
        facts: ComponentFacts,
        offered: Offered,
        before: Option<&ComponentUpgrade>,
        now: Millis,
    ) -> Self {
        let reason = match is_needed(&facts) {
            Err(blocked) if offered == Offered::No => Some(blocked.to_string()),
            _ => None,
        };
        let state = match before {
            _ if offered == Offered::Yes => ComponentState::PlanNotReceived,
            Some(before) if before.state.is_done() => before.state,
            _ => ComponentState::NotRequired,
        };
        ComponentUpgrade {
            component: facts.component,
            kind: facts.kind,
            package: facts.package,
            source: facts.reported,
            target: facts.target,
            state,
            reason,
            failures: before.map_or(0, |before| before.failures),
            fetched: before.map_or(0, |before| before.fetched),
            fetched_before: before.map_or(0, |before| before.fetched_before),
            wants_sha256: false,
            proving: false,
            lease_until: None,
            updated: now,
        }
    }
}

impl Upgrade {
    /// Position of the current component: the first one that is not done.
    pub fn current(&self) -> Option<usize> {
        self.components.iter().position(|component| !component.state.is_done())
    }

    /// The component at that position.
    pub fn current_component(&self) -> Option<&ComponentUpgrade> {
        self.components.get(self.current()?)
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

    /// Whether the lease of a component has run out.
    pub fn has_lease_over(&self, now: Millis) -> bool {
        self.components.iter().any(|component| component.is_lease_over(now))
    }

    /// Whether the device has confirmed and has to go on: it is at work, or the offer of its next component stands.
    pub fn is_in_progress(&self) -> bool {
        matches!(self.phase(), Phase::AtWork | Phase::NextOffered)
    }

    /// How far the device is.
    pub fn phase(&self) -> Phase {
        if self.ended.is_some() {
            return Phase::Ended(self.state);
        }
        let current = self.current_component().map(|component| component.state);
        match (self.is_outstanding(), self.confirmed.is_some()) {
            (true, false) => Phase::Offered,
            (true, true) if current.is_some_and(ComponentState::is_in_flight) => Phase::AtWork,
            (true, true) => Phase::NextOffered,
            (false, _) if current.is_some_and(ComponentState::has_failed) => Phase::RetryPending,
            (false, false) => Phase::Waiting,
            (false, true) => Phase::NextPending,
        }
    }

    fn roll_up(&mut self) {
        let ended = if self.ended.is_some() { Ended::Yes } else { Ended::No };
        self.state = roll_up(self.components.iter().map(|component| component.state), ended);
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
