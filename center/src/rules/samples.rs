//! Upgrades and their parts for the unit tests of the rules.

use super::applicability::ComponentFacts;
use super::progress::{ComponentState, Presence, UpgradeState, lease};
use super::upgrade::{ComponentUpgrade, Offered, Upgrade};
use super::{ComponentKind, ComponentNo, DeviceId, PackageId, PlanId, UpgradeId, Version};
use crate::clock::Millis;

/// An MCU component that reports `reported` and is to become `target`.
pub fn facts(name: &str, reported: Option<&str>, source: Option<&str>, target: &str) -> ComponentFacts {
    ComponentFacts {
        component: ComponentNo::new(name).unwrap(),
        kind: ComponentKind::Mcu,
        package: PackageId(1),
        reported: reported.map(Into::into),
        source: source.map(|source| Version::new(source).unwrap()),
        target: Version::new(target).unwrap(),
        superseded_by: None,
    }
}

/// An upgrade of components A, B, ... from version 1 to 2 in these states. The current one has its lease, and the upgrade
/// is confirmed if a component has started.
pub fn upgrade(states: &[ComponentState], now: Millis) -> Upgrade {
    let names = ["A", "B", "C", "D"];
    let components = states.iter().zip(names).map(|(state, name)| {
        let component = ComponentUpgrade::new(facts(name, Some("1"), None, "2"), Offered::Yes, None, now);
        ComponentUpgrade { state: *state, ..component }
    });
    let mut upgrade = Upgrade::new(Some(PlanId(3)), DeviceId(5), now, components.collect());
    upgrade.id = UpgradeId(7);
    if states.iter().any(|state| state.has_started()) {
        upgrade.confirmed = Some(now);
        upgrade.state = UpgradeState::Upgrading;
    }
    if let Some(current) = upgrade.current() {
        let component = &mut upgrade.components[current];
        component.lease_until =
            lease(component.state, component.kind, Presence::Online).map(|span| now + span);
    }
    upgrade
}

/// An upgrade of one component that ended in `state`.
pub fn ended(state: UpgradeState, now: Millis) -> Upgrade {
    let component = match state {
        UpgradeState::NotRequired => ComponentState::NotRequired,
        UpgradeState::NotUpgraded | UpgradeState::Upgrading => ComponentState::PlanNotReceived,
        UpgradeState::Upgraded => ComponentState::Succeeded,
        UpgradeState::Failed => ComponentState::Failed,
    };
    let mut upgrade = upgrade(&[component], now);
    upgrade.components[0].lease_until = None;
    upgrade.state = state;
    upgrade.ended = Some(now);
    upgrade
}
