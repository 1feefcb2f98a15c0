//! Who is offered what, and if not, why not and when that may change (DEVELOPER-CENTER.md "Who is offered what").

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::device::{DeviceFacts, Knowledge};
use super::limits::{Load, has_room};
use super::names::NameError;
use super::plan::{Mode, OutsidePeriod, PlanSettings, PlanState, Push, Strategy};
use super::progress::{ComponentState, Presence, UpgradeState};
use super::upgrade::{Phase, Upgrade};
use super::window::Zone;
use super::{ComponentKind, ComponentNo, PackageId, ProductKey, Version};
use crate::clock::Millis;

words! {
    /// Why a device is looked at now.
    Trigger, "trigger" {
        /// It asked (0x0115).
        Request = "request",
        /// It came online and reported its versions.
        Online = "online",
        /// A 10-minute mark.
        Mark = "mark",
        /// A pause or a refusal delay is over.
        Retry = "retry",
        /// The end user has said a word, or the window that he appointed opens.
        Consent = "consent",
    }
}

/// A component of a plan, seen from one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFacts {
    /// The component.
    pub component: ComponentNo,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// The version package.
    pub package: PackageId,
    /// What the device reports for it.
    pub reported: Option<String>,
    /// What a delta package needs; none: a full package.
    pub source: Option<Version>,
    /// What the package brings.
    pub target: Version,
    /// The newer plan that takes this one's place for this device and component.
    pub superseded_by: Option<i64>,
}

/// Where the device stands in the plan's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// There is no whitelist, or it holds the device; no blacklist holds it.
    Included,
    /// The blacklist holds it.
    Blacklisted,
    /// There is a whitelist, without it.
    NotWhitelisted,
}

/// Why an upgrade waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// The device refused.
    Refusal,
    /// An attempt failed.
    Failure,
}

/// What the end user said (manual mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nothing yet.
    Awaited,
    /// Now.
    Given,
    /// Inside this window.
    Appointed {
        /// It opens.
        from: Millis,
        /// It closes.
        until: Millis,
    },
}

/// A firmware verification that is not at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verifying {
    /// Its number.
    pub verification: i64,
    /// The package.
    pub package: i64,
    /// Its end at the latest.
    pub until: Millis,
}

/// Everything that the decision rests on.
#[derive(Debug, Clone)]
pub struct EligibilityInput<'a> {
    /// The plan.
    pub settings: &'a PlanSettings,
    /// Where it is in its life.
    pub state: PlanState,
    /// Why it suspended itself, if it did.
    pub halted: Option<&'a str>,
    /// How much of its limits it uses.
    pub load: Load,
    /// Its components, in order, seen from the device.
    pub components: &'a [ComponentFacts],
    /// The device.
    pub device: DeviceFacts<'a>,
    /// Its place in the lists.
    pub membership: Membership,
    /// The upgrade of the device by this plan, if it was offered once.
    pub upgrade: Option<&'a Upgrade>,
    /// Another upgrade that is in flight on the device.
    pub other_upgrade: Option<i64>,
    /// A firmware verification that has the device for itself.
    pub verification: Option<Verifying>,
    /// What the end user said.
    pub consent: Consent,
    /// Why the device is looked at.
    pub trigger: Trigger,
    /// The time.
    pub now: Millis,
}

/// The condition that holds a device back, with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum BlockReason {
    /// The plan is for another product.
    OtherProduct {
        /// The plan's product.
        product: ProductKey,
    },
    /// It is blacklisted.
    Blacklisted,
    /// It is not whitelisted.
    NotWhitelisted,
    /// The device is at its end in this plan.
    Finished {
        /// How.
        state: UpgradeState,
        /// Why.
        reason: Option<String>,
    },
    /// The plan is not offered in this state.
    PlanState {
        /// Its state.
        state: PlanState,
        /// Why it suspended itself.
        halted: Option<String>,
    },
    /// Only a request is answered.
    OnRequestOnly,
    /// The planned time has not come.
    BeforeStart {
        /// It comes.
        start: Millis,
    },
    /// The planned time has passed.
    AfterEnd {
        /// It passed.
        end: Millis,
    },
    /// Outside the push period.
    OutsidePeriod {
        /// It opens next.
        opens: Millis,
        /// In this zone's wall clock.
        zone: Zone,
        /// The period.
        period: super::window::PushPeriod,
    },
    /// It is offline.
    Offline,
    /// It has not reported its versions on this connection.
    VersionsUnknown,
    /// Every component has its target version.
    AtTarget,
    /// It does not report this component.
    ComponentUnknown {
        /// The component.
        component: ComponentNo,
    },
    /// A delta package does not fit.
    SourceDiffers {
        /// The component.
        component: ComponentNo,
        /// What the device has.
        reported: String,
        /// What the package needs.
        source: Version,
    },
    /// A newer plan takes this one's place.
    Superseded {
        /// The component.
        component: ComponentNo,
        /// The newer plan.
        by: i64,
    },
    /// No attempt is left.
    RetriesUsed {
        /// Failed attempts.
        failures: u32,
        /// Retries of the plan.
        retries: u8,
    },
    /// A delay has to pass first.
    Waiting {
        /// For what.
        wait: Wait,
        /// Until then.
        until: Millis,
    },
    /// Another upgrade is in flight on the device.
    OtherUpgrade {
        /// Its number.
        upgrade: i64,
    },
    /// A firmware verification has the device for itself.
    Verification(Verifying),
    /// The end user has not confirmed.
    AwaitingUser {
        /// The window that was appointed last has closed unused, or before the upgrade was done.
        missed: Option<Millis>,
    },
    /// The end user appointed a time.
    Appointed {
        /// It begins.
        from: Millis,
        /// It ends.
        until: Millis,
    },
    /// The battery is too low.
    Battery {
        /// Reported, %.
        reported: i64,
        /// Needed, %.
        needed: u8,
    },
    /// The first devices have not finished.
    FirstDevices {
        /// So many are first.
        first: u32,
        /// So many of them have finished.
        finished: u32,
    },
    /// Too many are in flight.
    InFlight {
        /// So many may be.
        limit: u32,
    },
    /// Too many started in the last minute.
    PerMinute {
        /// So many may.
        limit: u32,
        /// Then the next one may.
        until: Millis,
    },
    /// The signal is too weak.
    Rsrp {
        /// Reported, dBm.
        reported: i64,
        /// Needed, dBm.
        needed: i16,
    },
}

impl BlockReason {
    /// When this condition may be over by itself; none: only by an event.
    pub fn may_change(&self) -> Option<Millis> {
        match self {
            BlockReason::BeforeStart { start } => Some(*start),
            BlockReason::OutsidePeriod { opens, .. } => Some(*opens),
            BlockReason::Waiting { until, .. } => Some(*until),
            BlockReason::Appointed { from, .. } => Some(*from),
            BlockReason::PerMinute { until, .. } => Some(*until),
            BlockReason::Verification(Verifying { until, .. }) => Some(*until),
            _ => None,
        }
    }

    /// Whether only the end user's word, or the time that he said, ends it.
    pub fn is_for_user(&self) -> bool {
        matches!(self, BlockReason::AwaitingUser { .. } | BlockReason::Appointed { .. })
    }

    /// Whether the plan's package never fits the device again, as far as the center can tell.
    pub fn is_final(&self) -> bool {
        matches!(self, BlockReason::Superseded { .. } | BlockReason::SourceDiffers { .. })
    }

    /// Whether it is for the plan's limits alone: then any device that ends, or a moment, may let this one start.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            BlockReason::FirstDevices { .. } | BlockReason::InFlight { .. } | BlockReason::PerMinute { .. }
        )
    }
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockReason::OtherProduct { product } => write!(f, "the plan is for product {product}"),
            BlockReason::Blacklisted => f.write_str("the plan's blacklist holds the device"),
            BlockReason::NotWhitelisted => f.write_str("the plan's whitelist does not hold the device"),
            BlockReason::Finished { state, reason } => {
                write!(f, "the device is at its end in this plan: {state}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
            }
            BlockReason::PlanState { state, halted: None } => write!(f, "the plan is {state}"),
            BlockReason::PlanState { state, halted: Some(why) } => {
                write!(f, "the plan is {state} by itself: {why}")
            }
            BlockReason::FirstDevices { first, finished } => {
                write!(f, "the first {first} devices come first; {finished} of them have finished")
            }
            BlockReason::InFlight { limit } => write!(f, "{limit} devices are in flight, the plan's limit"),
            BlockReason::PerMinute { limit, until } => {
                write!(
                    f,
                    "{limit} devices started in the last minute, the plan's limit; the next one at {until}"
                )
            }
            BlockReason::OnRequestOnly => f.write_str("the plan is offered on the device's request only"),
            BlockReason::BeforeStart { start } => write!(f, "the planned time begins at {start}"),
            BlockReason::AfterEnd { end } => write!(f, "the planned time ended at {end}"),
            BlockReason::OutsidePeriod { opens, zone, period } => {
                write!(f, "the push period {period} {zone} opens at {opens}")
            }
            BlockReason::Offline => f.write_str("the device is offline"),
            BlockReason::VersionsUnknown => {
                f.write_str("the device has not reported its versions on this connection")
            }
            BlockReason::AtTarget => f.write_str("every component has its target version"),
            BlockReason::ComponentUnknown { component } => {
                write!(f, "the device reports no version of component {component}")
            }
            BlockReason::SourceDiffers { component, reported, source } => {
                write!(f, "component {component} has version {reported}; the delta package needs {source}")
            }
            BlockReason::Superseded { component, by } => {
                write!(f, "component {component} is superseded by plan {by}")
            }
            BlockReason::RetriesUsed { failures, retries } => {
                write!(f, "{failures} attempts failed; the plan allows {retries} retries")
            }
            BlockReason::Waiting { wait: Wait::Refusal, until } => {
                write!(f, "refused; offered again at {until}")
            }
            BlockReason::Waiting { wait: Wait::Failure, until } => {
                write!(f, "failed; offered again at {until}")
            }
            BlockReason::OtherUpgrade { upgrade } => write!(f, "device upgrade {upgrade} is in flight"),
            BlockReason::Verification(Verifying { verification, package, until }) => write!(
                f,
                "firmware verification {verification} of version package {package} has the device, until {until} at \
                 the latest"
            ),
            BlockReason::AwaitingUser { missed: None } => f.write_str("waits for the user's confirmation"),
            BlockReason::AwaitingUser { missed: Some(until) } => {
                write!(f, "waits for the user's confirmation: the appointed window closed at {until}")
            }
            BlockReason::Appointed { from, until } => write!(f, "appointed for {from}, until {until}"),
            BlockReason::Battery { reported, needed } => write!(f, "battery {reported} % < {needed} %"),
            BlockReason::Rsrp { reported, needed } => write!(f, "RSRP {reported} dBm < {needed} dBm"),
        }
    }
}

/// The components to offer, as positions in the plan, or the first condition that holds the device back.
pub fn offer(case: &EligibilityInput<'_>) -> Result<Vec<usize>, BlockReason> {
    belongs(case)?;
    is_offered_now(case)?;
    if case.device.presence == Presence::Offline {
        return Err(BlockReason::Offline);
    }
    if case.device.versions == Knowledge::Stale {
        return Err(BlockReason::VersionsUnknown);
    }
    let components = needed(case.components)?;
    if let Some(upgrade) = case.upgrade {
        let retries = case.settings.strategy.retries;
        let failures = upgrade.current_component().map_or(0, |current| current.failures);
        if failures > u32::from(retries) {
            return Err(BlockReason::RetriesUsed { failures, retries });
        }
        if let Some((wait, until)) = pending_wait(upgrade)
            && until > case.now
            // A device that asks after a failure is ready now; one that refused has its delay.
            && !(wait == Wait::Failure && case.trigger == Trigger::Request)
        {
            // A pause ends by itself, also one until the next mark because of this: what has to be changed is told first.
            if wait == Wait::Failure {
                is_strong_enough(&case.settings.strategy, &case.device)?;
            }
            return Err(BlockReason::Waiting { wait, until });
        }
    }
    if let Some(upgrade) = case.other_upgrade {
        return Err(BlockReason::OtherUpgrade { upgrade });
    }
    if let Some(verifying) = case.verification {
        return Err(BlockReason::Verification(verifying));
    }
    if case.settings.mode == Mode::Manual {
        match case.consent {
            Consent::Awaited => return Err(BlockReason::AwaitingUser { missed: None }),
            Consent::Appointed { from, until } if case.now < from => {
                return Err(BlockReason::Appointed { from, until });
            }
            Consent::Appointed { until, .. } if case.now >= until => {
                return Err(BlockReason::AwaitingUser { missed: Some(until) });
            }
            Consent::Appointed { .. } | Consent::Given => {}
        }
    }
    is_strong_enough(&case.settings.strategy, &case.device)?;
    has_room(&case.settings.strategy, &case.load, Phase::of(case.upgrade))?;
    Ok(components)
}

/// What the upgrade waits for, and until when.
fn pending_wait(upgrade: &Upgrade) -> Option<(Wait, Millis)> {
    let wait = match upgrade.current_component().map(|current| current.state) {
        Some(ComponentState::Refused) => Wait::Refusal,
        _ => Wait::Failure,
    };
    upgrade.next_offer.map(|until| (wait, until))
}

fn belongs(case: &EligibilityInput<'_>) -> Result<(), BlockReason> {
    if case.settings.product != *case.device.product {
        return Err(BlockReason::OtherProduct { product: case.settings.product.clone() });
    }
    match case.membership {
        Membership::Included => {}
        Membership::Blacklisted => return Err(BlockReason::Blacklisted),
        Membership::NotWhitelisted => return Err(BlockReason::NotWhitelisted),
    }
    match (Phase::of(case.upgrade), case.upgrade) {
        (Phase::Ended(state), Some(upgrade)) => {
            Err(BlockReason::Finished { state, reason: upgrade.reason.clone() })
        }
        _ => Ok(()),
    }
}

fn is_offered_now(case: &EligibilityInput<'_>) -> Result<(), BlockReason> {
    let settings = case.settings;
    if !case.state.offers() {
        return Err(BlockReason::PlanState { state: case.state, halted: case.halted.map(str::to_owned) });
    }
    if settings.push == Push::OnRequest && case.trigger != Trigger::Request {
        return Err(BlockReason::OnRequestOnly);
    }
    if let Some(start) = settings.start.filter(|start| case.now < *start) {
        return Err(BlockReason::BeforeStart { start });
    }
    if let Some(end) = settings.end.filter(|end| case.now >= *end) {
        return Err(BlockReason::AfterEnd { end });
    }
    let answers = case.trigger == Trigger::Request && settings.outside_period == OutsidePeriod::Answer;
    if let Some(period) = settings.push_period
        && !answers
        && !period.contains(case.now, &settings.time_zone)
    {
        let opens = period.opens(case.now, &settings.time_zone);
        return Err(BlockReason::OutsidePeriod { opens, zone: settings.time_zone.clone(), period });
    }
    Ok(())
}

/// Positions of the components that can be upgraded, or why none can.
pub(crate) fn needed(components: &[ComponentFacts]) -> Result<Vec<usize>, BlockReason> {
    let mut first_held = None;
    let mut needed = Vec::new();
    for (position, facts) in components.iter().enumerate() {
        match is_needed(facts) {
            Ok(Need::Upgrade) => needed.push(position),
            Ok(Need::None) => {}
            Err(blocked) => first_held = first_held.or(Some(blocked)),
        }
    }
    if needed.is_empty() { Err(first_held.unwrap_or(BlockReason::AtTarget)) } else { Ok(needed) }
}

/// Whether a component is to be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is.
    Upgrade,
    /// It has its target version.
    None,
}

/// Whether the component is to be upgraded, or what stands against it.
pub fn is_needed(facts: &ComponentFacts) -> Result<Need, BlockReason> {
    let component = || facts.component.clone();
    let Some(reported) = &facts.reported else {
        return Err(BlockReason::ComponentUnknown { component: component() });
    };
    if reported == facts.target.as_str() {
        return Ok(Need::None);
    }
    if let Some(by) = facts.superseded_by {
        return Err(BlockReason::Superseded { component: component(), by });
    }
    match &facts.source {
        Some(source) if source.as_str() != reported => Err(BlockReason::SourceDiffers {
            component: component(),
            reported: reported.clone(),
            source: source.clone(),
        }),
        _ => Ok(Need::Upgrade),
    }
}

fn is_strong_enough(strategy: &Strategy, device: &DeviceFacts<'_>) -> Result<(), BlockReason> {
    if let (Some(needed), Some(reported)) = (strategy.min_battery, device.battery)
        && reported < i64::from(needed)
    {
        return Err(BlockReason::Battery { reported, needed });
    }
    if let (Some(needed), Some(reported)) = (strategy.min_rsrp, device.rsrp)
        && reported < i64::from(needed)
    {
        return Err(BlockReason::Rsrp { reported, needed });
    }
    Ok(())
}

/// Whether the plan has a limit whose value the device has not reported on this connection: it is asked first
/// (DECISIONS.md "battery and RSRP").
pub fn lacks_status(strategy: &Strategy, device: &DeviceFacts<'_>) -> bool {
    (strategy.min_battery.is_some() && device.battery.is_none())
        || (strategy.min_rsrp.is_some() && device.rsrp.is_none())
}

/// How far the center's question for battery and signal is, on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusAsk {
    /// Asked; the trigger is looked at again when the answer comes.
    Waiting(Trigger),
    /// Answered, as far as the device could.
    Answered,
}

impl fmt::Display for StatusAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusAsk::Waiting(trigger) => trigger.fmt(f),
            StatusAsk::Answered => f.write_str("answered"),
        }
    }
}

impl FromStr for StatusAsk {
    type Err = NameError;

    fn from_str(word: &str) -> Result<Self, NameError> {
        if word == "answered" { Ok(StatusAsk::Answered) } else { word.parse().map(StatusAsk::Waiting) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::samples::{self, facts};
    use crate::rules::window::PushPeriod;
    use crate::rules::{DeviceKey, Title};

    const NOW: Millis = Millis(1_772_359_200_000); // 2026-03-01 10:00 UTC, 11:00 in Berlin

    struct World {
        settings: PlanSettings,
        state: PlanState,
        load: Load,
        components: Vec<ComponentFacts>,
        product: ProductKey,
        key: DeviceKey,
        presence: Presence,
        versions: Knowledge,
        battery: Option<i64>,
        rsrp: Option<i64>,
        membership: Membership,
        upgrade: Option<Upgrade>,
        other_upgrade: Option<i64>,
        verification: Option<Verifying>,
        consent: Consent,
        trigger: Trigger,
    }

    /// An upgrade that was offered before.
    fn upgrade() -> Upgrade {
        samples::upgrade(&[ComponentState::PlanNotReceived], NOW)
    }

    /// The same, waiting until `until` after a refusal or a failure.
    fn waiting(state: ComponentState, until: Millis) -> Option<Upgrade> {
        let mut upgrade = upgrade();
        upgrade.components[0].state = state;
        upgrade.next_offer = Some(until);
        Some(upgrade)
    }

    /// The same, after so many failed attempts.
    fn failed(failures: u32) -> Option<Upgrade> {
        let mut upgrade = upgrade();
        upgrade.components[0].failures = failures;
        Some(upgrade)
    }

    fn world() -> World {
        let product = ProductKey::new("p1abcd").unwrap();
        let zone = "Europe/Berlin".parse().unwrap();
        World {
            settings: PlanSettings::new(Title::new("spring").unwrap(), product.clone(), zone, Vec::new()),
            state: PlanState::Activated,
            load: Load::default(),
            components: vec![facts("STM32", Some("1"), None, "2")],
            product,
            key: DeviceKey::new("d1").unwrap(),
            presence: Presence::Online,
            versions: Knowledge::Fresh,
            battery: None,
            rsrp: None,
            membership: Membership::Included,
            upgrade: None,
            other_upgrade: None,
            verification: None,
            consent: Consent::Awaited,
            trigger: Trigger::Mark,
        }
    }

    fn evaluate(world: &World) -> Result<Vec<usize>, BlockReason> {
        offer(&EligibilityInput {
            settings: &world.settings,
            state: world.state,
            halted: None,
            load: world.load,
            components: &world.components,
            device: DeviceFacts {
                product: &world.product,
                key: &world.key,
                presence: world.presence,
                versions: world.versions,
                module_version: None,
                mcu_versions: &[],
                sdk_version: None,
                battery: world.battery,
                rsrp: world.rsrp,
            },
            membership: world.membership,
            upgrade: world.upgrade.as_ref(),
            other_upgrade: world.other_upgrade,
            verification: world.verification,
            consent: world.consent,
            trigger: world.trigger,
            now: NOW,
        })
    }

    /// Each change to the world of an offered device, and the condition that then holds it back.
    type Change = (fn(&mut World), fn(&BlockReason) -> bool);

    fn changes() -> Vec<Change> {
        vec![
            (
                |w| w.product = ProductKey::new("other").unwrap(),
                |h| matches!(h, BlockReason::OtherProduct { .. }),
            ),
            (|w| w.membership = Membership::Blacklisted, |h| *h == BlockReason::Blacklisted),
            (|w| w.membership = Membership::NotWhitelisted, |h| *h == BlockReason::NotWhitelisted),
            (
                |w| w.upgrade = Some(Upgrade { ended: Some(NOW), ..upgrade() }),
                |h| matches!(h, BlockReason::Finished { .. }),
            ),
            (
                |w| w.state = PlanState::Suspended,
                |h| *h == BlockReason::PlanState { state: PlanState::Suspended, halted: None },
            ),
            (|w| w.settings.push = Push::OnRequest, |h| *h == BlockReason::OnRequestOnly),
            (
                |w| w.settings.start = Some(NOW + Millis(1)),
                |h| h.may_change() == Some(NOW + Millis(1)) && matches!(h, BlockReason::BeforeStart { .. }),
            ),
            (|w| w.settings.end = Some(NOW), |h| *h == BlockReason::AfterEnd { end: NOW }),
            (
                |w| {
                    w.settings.push_period =
                        Some(PushPeriod { from: "23:00".parse().unwrap(), until: "04:00".parse().unwrap() });
                },
                |h| h.may_change() == Some(NOW + Millis::hours(12)),
            ),
            (|w| w.presence = Presence::Offline, |h| *h == BlockReason::Offline),
            (|w| w.versions = Knowledge::Stale, |h| *h == BlockReason::VersionsUnknown),
            (|w| w.components = vec![facts("STM32", Some("2"), None, "2")], |h| *h == BlockReason::AtTarget),
            (
                |w| w.components = vec![facts("STM32", None, None, "2")],
                |h| matches!(h, BlockReason::ComponentUnknown { .. }),
            ),
            (
                |w| w.components = vec![facts("STM32", Some("1"), Some("0"), "2")],
                |h| matches!(h, BlockReason::SourceDiffers { .. }),
            ),
            (
                |w| w.components[0].superseded_by = Some(9),
                |h| matches!(h, BlockReason::Superseded { by: 9, .. }),
            ),
            (|w| w.upgrade = failed(3), |h| *h == BlockReason::RetriesUsed { failures: 3, retries: 2 }),
            (
                |w| w.upgrade = waiting(ComponentState::Refused, NOW + Millis(9)),
                |h| h.may_change() == Some(NOW + Millis(9)),
            ),
            (|w| w.other_upgrade = Some(7), |h| *h == BlockReason::OtherUpgrade { upgrade: 7 }),
            (
                |w| {
                    w.verification = Some(Verifying { verification: 8, package: 3, until: NOW + Millis(9) });
                },
                |h| h.may_change() == Some(NOW + Millis(9)) && h.condition() == "verification",
            ),
            (|w| w.settings.mode = Mode::Manual, |h| *h == BlockReason::AwaitingUser { missed: None }),
            (
                |w| {
                    w.settings.strategy.min_battery = Some(30);
                    w.battery = Some(17);
                },
                |h| h.to_string() == "battery 17 % < 30 %",
            ),
            (
                |w| {
                    w.settings.strategy.max_in_flight = Some(5);
                    w.load.in_flight = 5;
                },
                |h| h.to_string() == "5 devices are in flight, the plan's limit",
            ),
            (
                |w| {
                    w.settings.strategy.min_rsrp = Some(-110);
                    w.rsrp = Some(-111);
                },
                |h| h.to_string() == "RSRP -111 dBm < -110 dBm",
            ),
        ]
    }

    #[test]
    fn a_device_with_nothing_against_it_is_offered() {
        assert_eq!(evaluate(&world()), Ok(vec![0]));
    }

    #[test]
    fn each_condition_holds_the_device_back_by_itself() {
        for (index, (change, is_right)) in changes().into_iter().enumerate() {
            let mut world = world();
            change(&mut world);
            let blocked = evaluate(&world).unwrap_err();
            assert!(is_right(&blocked), "change {index}: {blocked}");
        }
    }

    #[test]
    fn only_what_is_needed_is_offered() {
        let mut world = world();
        world.components = vec![
            facts("A", Some("2"), None, "2"),
            facts("B", Some("1"), Some("1"), "2"),
            facts("C", Some("1"), Some("0"), "2"),
            facts("D", Some("1"), None, "2"),
        ];
        assert_eq!(evaluate(&world), Ok(vec![1, 3]));
    }

    #[test]
    fn a_request_outside_the_push_period_is_answered_only_if_the_plan_says_so() {
        let mut world = world();
        world.trigger = Trigger::Request;
        world.settings.push_period =
            Some(PushPeriod { from: "23:00".parse().unwrap(), until: "04:00".parse().unwrap() });
        assert!(matches!(evaluate(&world), Err(BlockReason::OutsidePeriod { .. })));
        world.settings.outside_period = OutsidePeriod::Answer;
        assert_eq!(evaluate(&world), Ok(vec![0]));
    }

    #[test]
    fn a_request_ends_the_pause_after_a_failure_but_not_a_refusal_delay() {
        let mut world = world();
        world.trigger = Trigger::Request;
        let later = NOW + Millis::minutes(1);
        world.upgrade = waiting(ComponentState::Failed, later);
        assert_eq!(evaluate(&world), Ok(vec![0]));
        world.upgrade = waiting(ComponentState::Refused, later);
        assert_eq!(evaluate(&world), Err(BlockReason::Waiting { wait: Wait::Refusal, until: later }));
    }

    #[test]
    fn an_unknown_battery_leaves_the_decision_to_the_device() {
        let mut world = world();
        world.settings.strategy.min_battery = Some(30);
        assert_eq!(evaluate(&world), Ok(vec![0]));
        let device = DeviceFacts {
            product: &world.product,
            key: &world.key,
            presence: Presence::Online,
            versions: Knowledge::Fresh,
            module_version: None,
            mcu_versions: &[],
            sdk_version: None,
            battery: None,
            rsrp: None,
        };
        assert!(lacks_status(&world.settings.strategy, &device));
    }

    #[test]
    fn a_manual_plan_is_offered_on_the_users_word_and_inside_the_window_alone() {
        let mut world = world();
        world.settings.mode = Mode::Manual;
        let mut on = |consent| {
            world.consent = consent;
            evaluate(&world)
        };
        assert_eq!(on(Consent::Given), Ok(vec![0]));
        let (before, after) = (NOW - Millis(1), NOW + Millis(1));
        assert_eq!(on(Consent::Appointed { from: NOW, until: after }), Ok(vec![0]));
        let blocked = BlockReason::Appointed { from: after, until: after + Millis::hours(1) };
        assert_eq!(
            on(Consent::Appointed { from: after, until: after + Millis::hours(1) }),
            Err(blocked.clone())
        );
        assert_eq!(blocked.may_change(), Some(after));
        let missed = BlockReason::AwaitingUser { missed: Some(NOW) };
        assert_eq!(on(Consent::Appointed { from: before, until: NOW }), Err(missed));
    }

    proptest! {
        #[test]
        fn any_condition_that_holds_keeps_the_offer_away(which in proptest::collection::btree_set(0usize..23, 1..4)) {
            let changes = changes();
            let mut world = world();
            for index in which {
                changes[index].0(&mut world);
            }
            prop_assert!(evaluate(&world).is_err());
        }
    }
}
