//! States of components, devices and plans: leases, and the roll-up from components to the device and the plan.

use crate::clock::Millis;
use crate::rules::ComponentKind;

words! {
    /// State of one component in the conversation with one device (DEVELOPER-CENTER.md "Conversation with one device").
    ComponentState, "component state" {
        /// Offered, or waiting for its offer.
        PlanNotReceived = "plan_not_received",
        /// Status 1.
        PlanReceived = "plan_received",
        /// Status 2.
        Confirmed = "upgrade_confirmed",
        /// Status 3.
        Refused = "refused",
        /// Status 4.
        ReadyToDownload = "ready_to_download",
        /// Status 5.
        Downloading = "downloading",
        /// Status 8.
        Downloaded = "downloaded",
        /// Status 6.
        DownloadFailed = "download_failed",
        /// Status 9.
        Upgrading = "upgrading",
        /// The device reports the target version.
        Succeeded = "upgrade_succeeded",
        /// Status 12, a lease that ran out, or a wrong version.
        Failed = "upgrade_failed",
        /// The target version was there before.
        NotRequired = "no_update_required",
    }
}

words! {
    /// State of a device in a plan.
    UpgradeState, "device state" {
        /// Every component has its target version already.
        NotRequired = "no_update_required",
        /// Not confirmed yet.
        NotUpgraded = "not_upgraded",
        /// Confirmed, and not at its end.
        Upgrading = "upgrading",
        /// All components.
        Upgraded = "upgraded",
        /// One or more components failed for good.
        Failed = "upgrade_failed",
    }
}

impl ComponentState {
    /// The device has confirmed this component and works on it.
    pub fn is_in_flight(self) -> bool {
        use ComponentState::*;
        matches!(self, Confirmed | ReadyToDownload | Downloading | Downloaded | Upgrading)
    }

    /// Done, and well.
    pub fn is_done(self) -> bool {
        matches!(self, ComponentState::Succeeded | ComponentState::NotRequired)
    }

    /// Its last attempt failed.
    pub fn has_failed(self) -> bool {
        matches!(self, ComponentState::DownloadFailed | ComponentState::Failed)
    }

    /// The device has confirmed at some time of this attempt or an earlier one.
    pub fn has_started(self) -> bool {
        use ComponentState::*;
        self.is_in_flight() || matches!(self, DownloadFailed | Succeeded | Failed)
    }
}

/// Whether a device can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has a connection.
    Online,
    /// It has none.
    Offline,
}

/// Time that a state may last without a report from the device; none: for ever, because nothing is
/// in flight.
pub fn lease(state: ComponentState, kind: ComponentKind, presence: Presence) -> Option<Millis> {
    use ComponentState::*;
    match (state, presence) {
        (PlanNotReceived | PlanReceived, _) => Some(OFFER_LEASE),
        // Applying is when devices are offline: its lease does not wait for them.
        (Upgrading, _) if kind == ComponentKind::Module => Some(Millis::minutes(60)),
        (Upgrading, _) => Some(Millis::minutes(30)),
        (Confirmed | ReadyToDownload | Downloading | Downloaded, Presence::Offline) => {
            Some(Millis::hours(24))
        }
        (Confirmed, Presence::Online) => Some(Millis::minutes(2)),
        (ReadyToDownload | Downloading, Presence::Online) => Some(Millis::minutes(10)),
        (Downloaded, Presence::Online) => Some(Millis::minutes(60)),
        // Counted from the end of the pause, so that a device that is gone does not stay "upgrading" for ever.
        (DownloadFailed | Failed, _) => Some(Millis::hours(24)),
        (Refused | Succeeded | NotRequired, _) => None,
    }
}

/// How long a device may leave an offer unanswered.
pub const OFFER_LEASE: Millis = Millis::minutes(10);

/// The device's state from those of its components; `ended`: nothing more will be tried.
pub fn roll_up(components: impl IntoIterator<Item = ComponentState>, ended: Ended) -> UpgradeState {
    let states: Vec<ComponentState> = components.into_iter().collect();
    if states.iter().all(|state| *state == ComponentState::NotRequired) {
        return UpgradeState::NotRequired;
    }
    if states.iter().all(|state| state.is_done()) {
        return UpgradeState::Upgraded;
    }
    let started = states.iter().any(|state| state.has_started());
    match (ended, started) {
        (Ended::Yes, true) => UpgradeState::Failed,
        (Ended::No, true) => UpgradeState::Upgrading,
        (_, false) => UpgradeState::NotUpgraded,
    }
}

/// Whether an upgrade is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing more is tried.
    Yes,
    /// It goes on, now or later.
    No,
}

/// Devices of a plan by state.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Figures {
    /// No Update Required.
    pub not_required: u64,
    /// Not Upgraded: offered, and not confirmed.
    pub not_upgraded: u64,
    /// Upgrading.
    pub upgrading: u64,
    /// Upgraded.
    pub upgraded: u64,
    /// Upgrade Failed.
    pub failed: u64,
}

impl Figures {
    /// Adds `devices` that are in `state`.
    pub fn add(&mut self, state: UpgradeState, devices: u64) {
        let count = self.count(state);
        *count = count.saturating_add(devices);
    }

    /// Takes `devices` away that are in `state` no longer.
    pub fn remove(&mut self, state: UpgradeState, devices: u64) {
        let count = self.count(state);
        *count = count.saturating_sub(devices);
    }

    fn count(&mut self, state: UpgradeState) -> &mut u64 {
        match state {
            UpgradeState::NotRequired => &mut self.not_required,
            UpgradeState::NotUpgraded => &mut self.not_upgraded,
            UpgradeState::Upgrading => &mut self.upgrading,
            UpgradeState::Upgraded => &mut self.upgraded,
            UpgradeState::Failed => &mut self.failed,
        }
    }

    /// Share of the finished devices that are upgraded, 0.0..=1.0; none while no device has finished.
    pub fn success_rate(&self) -> Option<f64> {
        let finished = self.upgraded.saturating_add(self.failed);
        (finished > 0).then(|| self.upgraded as f64 / finished as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_in_flight_has_a_lease() {
        for state in ComponentState::ALL {
            for kind in ComponentKind::ALL {
                for presence in [Presence::Online, Presence::Offline] {
                    let lease = lease(*state, *kind, presence);
                    assert!(!state.is_in_flight() || lease.is_some(), "{state}");
                    assert!(!state.is_done() || lease.is_none(), "{state}");
                }
            }
        }
    }

    #[test]
    fn a_device_is_what_its_components_are() {
        use ComponentState::*;
        let rows: &[(&[ComponentState], Ended, UpgradeState)] = &[
            (&[NotRequired, NotRequired], Ended::Yes, UpgradeState::NotRequired),
            (&[PlanReceived], Ended::No, UpgradeState::NotUpgraded),
            (&[Refused], Ended::No, UpgradeState::NotUpgraded),
            (&[NotRequired, Confirmed], Ended::No, UpgradeState::Upgrading),
            (&[DownloadFailed], Ended::No, UpgradeState::Upgrading),
            (&[Succeeded, PlanNotReceived], Ended::No, UpgradeState::Upgrading),
            (&[Succeeded, NotRequired], Ended::Yes, UpgradeState::Upgraded),
            (&[Succeeded, Failed], Ended::Yes, UpgradeState::Failed),
        ];
        for (components, ended, state) in rows {
            assert_eq!(roll_up(components.iter().copied(), *ended), *state, "{components:?}");
        }
    }

    #[test]
    fn the_success_rate_leaves_out_who_has_not_finished() {
        let mut figures = Figures::default();
        assert_eq!(figures.success_rate(), None);
        for (state, devices) in
            [(UpgradeState::Upgraded, 3), (UpgradeState::Failed, 1), (UpgradeState::Upgrading, 9)]
        {
            figures.add(state, devices);
        }
        assert_eq!(figures.success_rate(), Some(0.75));
    }
}
