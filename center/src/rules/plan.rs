//! Upgrade plans: their fields, their life, and whether one may be activated (DEVELOPER-CENTER.md "Upgrade plan").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{ComponentNo, NameError, ProductKey, Title, Version};
use super::window::{PushPeriod, Zone};
use crate::clock::Millis;

/// Reason of devices that had not confirmed when their plan was terminated: they have failed.
pub const TERMINATED: &str = "the plan was terminated";
/// Reason of devices that had not been offered the plan when it was terminated: they have no row, and are only counted.
pub const TERMINATED_UNREACHED: &str = "the plan was terminated before it was offered";
/// Reason of devices that had not confirmed when their plan ended: they stay Not Upgraded.
pub const ENDED: &str = "the plan has ended";

words! {
    /// Life cycle of a plan.
    PlanState, "plan state" {
        /// Being edited; no device knows of it.
        Saved = "saved",
        /// Frozen and offered; no device has confirmed yet.
        Activated = "activated",
        /// A device has confirmed.
        Upgrading = "upgrading",
        /// Nobody new is offered it.
        Suspended = "suspended",
        /// Stopped by the operator, for good.
        Terminated = "terminated",
        /// Its end time has come.
        Ended = "ended",
    }
}

words! {
    /// What happens to a plan.
    PlanEvent, "plan event" {
        /// The operator activates it.
        Activate = "activate",
        /// A device confirmed (status 2).
        DeviceStarts = "device starts",
        /// The operator suspends it.
        Suspend = "suspend",
        /// Too many devices failed (strategy).
        Halt = "halt",
        /// The operator resumes it.
        Resume = "resume",
        /// The operator terminates it.
        Terminate = "terminate",
        /// Its end time has come.
        EndTime = "end time",
    }
}

words! {
    /// Who may cause a [`PlanEvent`].
    Actor, "actor" {
        /// A person, by REST, command line or page.
        Operator = "operator",
        /// A device's report.
        Device = "device",
        /// The time.
        Clock = "clock",
        /// The center, by the plan's strategy.
        Center = "center",
    }
}

/// The life cycle as data: state, event, who causes it, next state. `Resume` goes back to where `Suspend` came from, so
/// both of its rows stand here and [`next_state`] picks one.
pub const TRANSITIONS: &[(PlanState, PlanEvent, Actor, PlanState)] = {
    use Actor::*;
    use PlanEvent::*;
    use PlanState::*;
    &[
        (Saved, Activate, Operator, Activated),
        (Activated, DeviceStarts, Device, Upgrading),
        (Activated, Suspend, Operator, Suspended),
        (Activated, Halt, Center, Suspended),
        (Activated, Terminate, Operator, Terminated),
        (Activated, EndTime, Clock, Ended),
        (Upgrading, DeviceStarts, Device, Upgrading),
        (Upgrading, Suspend, Operator, Suspended),
        (Upgrading, Halt, Center, Suspended),
        (Upgrading, Terminate, Operator, Terminated),
        (Upgrading, EndTime, Clock, Ended),
        // A device that was offered the plan before goes on.
        (Suspended, DeviceStarts, Device, Suspended),
        (Suspended, Resume, Operator, Activated),
        (Suspended, Resume, Operator, Upgrading),
        (Suspended, Terminate, Operator, Terminated),
        (Suspended, EndTime, Clock, Ended),
    ]
};

/// A step that the life cycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan that is {state} does not take \"{event}\"")]
pub struct NoTransition {
    /// Where the plan is.
    pub state: PlanState,
    /// What was tried.
    pub event: PlanEvent,
}

/// The state after `event`; `suspended_from` is where a suspended plan resumes to.
pub fn next_state(
    state: PlanState,
    event: PlanEvent,
    suspended_from: Option<PlanState>,
) -> Result<PlanState, NoTransition> {
    let resumed = suspended_from.unwrap_or(PlanState::Activated);
    TRANSITIONS
        .iter()
        .find(|(from, on, _, to)| {
            *from == state && *on == event && (event != PlanEvent::Resume || *to == resumed)
        })
        .map(|(.., to)| *to)
        .ok_or(NoTransition { state, event })
}

impl PlanState {
    /// Offered to devices now.
    pub fn offers(self) -> bool {
        matches!(self, PlanState::Activated | PlanState::Upgrading)
    }

    /// Past its last change.
    pub fn is_over(self) -> bool {
        matches!(self, PlanState::Terminated | PlanState::Ended)
    }
}

words! {
    /// Whether the end user is asked.
    Mode, "upgrade mode" {
        /// Offered without asking.
        Silent = "silent",
        /// Nothing is offered until the end user confirms for the device.
        Manual = "manual",
    }
}

words! {
    /// Who begins.
    Push, "push" {
        /// The center: on coming online and at every 10-minute mark.
        Actively = "actively",
        /// The device: only its own request is answered.
        OnRequest = "on_request",
    }
}

words! {
    /// When a plan that is pushed actively is offered to the devices that are online as it begins.
    FirstPush, "first push" {
        /// At the next 10-minute mark.
        Mark = "mark",
        /// Within seconds of its activation, or of its planned start.
        AtOnce = "at_once",
    }
}

words! {
    /// What a device hears when it asks outside the push period.
    OutsidePeriod, "outside the push period" {
        /// Nothing; the log has a line, and `why` explains it.
        Silent = "silent",
        /// The plan.
        Answer = "answer",
    }
}

words! {
    /// Whether the plan's packages must have been verified on a device before it is activated.
    Verification, "verification" {
        /// Not asked for.
        Optional = "optional",
        /// Each package's last verification passed.
        Required = "required",
    }
}

words! {
    /// What the verifications of a package say about it: the last one that ended decides.
    Verified, "verification result" {
        /// It passed.
        Passed = "passed",
        /// It failed.
        Failed = "failed",
        /// None has passed or failed yet.
        Never = "never",
    }
}

impl Verified {
    /// What a package with this result has done, to be read after its name.
    pub fn told(self) -> &'static str {
        match self {
            Verified::Passed => "passed its last firmware verification",
            Verified::Failed => "failed its last firmware verification",
            Verified::Never => "has passed no firmware verification",
        }
    }
}

words! {
    /// The two lists of a plan.
    List, "list" {
        /// Only these devices.
        White = "white",
        /// Not these devices; wins over the whitelist.
        Black = "black",
    }
}

/// Stop by itself when too many fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Halt {
    /// Suspend when more than this share failed, 0..=99 %.
    #[schemars(range(max = 99))]
    pub percent: u8,
    /// Not before so many devices have finished, 1 or more.
    #[schemars(range(min = 1))]
    pub after: u32,
}

/// How hard a plan tries, and on which devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub struct Strategy {
    /// Further attempts after a failed one, per component: 0..=10.
    #[schemars(range(max = 10))]
    pub retries: u8,
    /// Minutes until a refused plan is offered again: 10..=1440.
    #[schemars(range(min = 10, max = 1440))]
    pub refusal_delay: u16,
    /// Lowest RSRP, dBm: -200..=0.
    #[schemars(range(min = -200, max = 0))]
    pub min_rsrp: Option<i16>,
    /// Lowest battery, 0..=100 %.
    #[schemars(range(max = 100))]
    pub min_battery: Option<u8>,
    /// First so many devices, then the rest.
    #[schemars(range(min = 1))]
    pub first_devices: Option<u32>,
    /// Stop by itself.
    pub halt: Option<Halt>,
    /// Devices that may upgrade at the same time.
    #[schemars(range(min = 1))]
    pub max_in_flight: Option<u32>,
    /// Offers a minute.
    #[schemars(range(min = 1))]
    pub max_per_minute: Option<u32>,
}

impl Default for Strategy {
    fn default() -> Self {
        Strategy {
            retries: 2,
            refusal_delay: 120,
            min_rsrp: None,
            min_battery: None,
            first_devices: None,
            halt: None,
            max_in_flight: None,
            max_per_minute: None,
        }
    }
}

/// Version package that a plan brings to a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct PlanComponent {
    /// The component.
    pub component: ComponentNo,
    /// Id of the version package.
    pub package: i64,
}

/// Everything that an operator enters, lists of devices aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanSettings {
    /// Unique name.
    pub name: Title,
    /// Never changes once saved.
    pub product: ProductKey,
    /// Components in the order of their upgrade.
    pub components: Vec<PlanComponent>,
    /// Governs planned time, push period and 10-minute marks.
    pub time_zone: Zone,
    /// Daily window outside which nothing is offered.
    #[serde(default)]
    pub push_period: Option<PushPeriod>,
    /// Planned start.
    #[serde(default)]
    pub start: Option<Millis>,
    /// Planned end.
    #[serde(default)]
    pub end: Option<Millis>,
    /// Silent or manual.
    #[serde(default = "silent")]
    pub mode: Mode,
    /// Who begins.
    #[serde(default = "actively")]
    pub push: Push,
    /// The devices that are online as it begins.
    #[serde(default = "at_the_mark")]
    pub first_push: FirstPush,
    /// Requests outside the push period.
    #[serde(default = "no_answer")]
    pub outside_period: OutsidePeriod,
    /// Whether activation needs verified packages.
    #[serde(default = "not_needed")]
    pub verification: Verification,
    /// Retries and limits.
    #[serde(default)]
    pub strategy: Strategy,
    /// Upgrade text by language tag; manual mode needs `zh` and `en`.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

fn silent() -> Mode {
    Mode::Silent
}

fn actively() -> Push {
    Push::Actively
}

fn at_the_mark() -> FirstPush {
    FirstPush::Mark
}

fn no_answer() -> OutsidePeriod {
    OutsidePeriod::Silent
}

fn not_needed() -> Verification {
    Verification::Optional
}

impl PlanSettings {
    /// A silent plan, pushed actively, with the default strategy.
    pub fn new(name: Title, product: ProductKey, time_zone: Zone, components: Vec<PlanComponent>) -> Self {
        PlanSettings {
            name,
            product,
            components,
            time_zone,
            push_period: None,
            start: None,
            end: None,
            mode: Mode::Silent,
            push: Push::Actively,
            first_push: FirstPush::Mark,
            outside_period: OutsidePeriod::Silent,
            verification: Verification::Optional,
            strategy: Strategy::default(),
            texts: BTreeMap::new(),
        }
    }

    /// Every field that cannot be saved, all at once. Whether the plan may be *activated* is [`activation_faults`].
    pub fn faults(&self) -> Vec<NameError> {
        let strategy = &self.strategy;
        let mut faults = Vec::new();
        let mut check = |ok: bool, what, value: String, rule| {
            if !ok {
                faults.push(NameError { what, value, rule });
            }
        };
        check(strategy.retries <= 10, "number of retries", strategy.retries.to_string(), "0 to 10");
        check(
            (10..=1440).contains(&strategy.refusal_delay),
            "delay after a refusal",
            strategy.refusal_delay.to_string(),
            "10 to 1440 minutes",
        );
        if let Some(rsrp) = strategy.min_rsrp {
            check((-200..=0).contains(&rsrp), "lowest RSRP", rsrp.to_string(), "-200 to 0 dBm");
        }
        if let Some(battery) = strategy.min_battery {
            check(battery <= 100, "minimum battery", battery.to_string(), "0 to 100 %");
        }
        if let Some(halt) = strategy.halt {
            check(halt.percent <= 99, "failure rate that halts", halt.percent.to_string(), "0 to 99 %");
            check(halt.after >= 1, "finished devices before a halt", halt.after.to_string(), "1 or more");
        }
        let counts = [
            ("first devices", strategy.first_devices),
            ("devices in flight", strategy.max_in_flight),
            ("offers a minute", strategy.max_per_minute),
        ];
        for (what, count) in counts {
            if let Some(count) = count {
                check(count >= 1, what, count.to_string(), "1 or more");
            }
        }
        if let (Some(start), Some(end)) = (self.start, self.end) {
            check(start < end, "planned end", end.to_string(), "later than the planned start");
        }
        if let Some(period) = self.push_period {
            check(
                period.from != period.until,
                "push period",
                period.to_string(),
                "two different times of day",
            );
        }
        check(
            self.components.len() <= MAX_COMPONENTS,
            "components",
            self.components.len().to_string(),
            "at most 20 (a device drops a longer list)",
        );
        for (index, component) in self.components.iter().enumerate() {
            check(
                !self.components.iter().take(index).any(|other| other.component == component.component),
                "component",
                component.component.to_string(),
                "each component once",
            );
        }
        faults
    }
}

/// Plans that a device takes in one list (QUECTHING.md 3.2).
pub const MAX_COMPONENTS: usize = 20;

/// What activation needs to know about a plan's component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageFound {
    /// There is no such package.
    Gone {
        /// The id in the plan.
        package: i64,
    },
    /// It belongs to something else.
    OtherComponent {
        /// The id in the plan.
        package: i64,
        /// Whose it is.
        product: ProductKey,
        /// Which component it is for.
        component: ComponentNo,
    },
    /// It fits.
    Fits {
        /// The version that it brings.
        target: Version,
        /// What its verifications say.
        verified: Verified,
    },
}

/// Whether the operator agrees that the plan takes the place of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Supersede {
    /// Refuse if another active plan has the same component.
    Refuse,
    /// Take its place.
    Agreed,
}

/// A plan that is still active and touches a component of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Id of the older plan.
    pub plan: i64,
    /// Its name.
    pub name: Title,
    /// The component of both.
    pub component: ComponentNo,
}

/// Why a plan is not activated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActivationFault {
    /// Only a Saved plan is activated.
    #[error(transparent)]
    State(#[from] NoTransition),
    /// Nothing would be offered by an unknown clock.
    #[error("time zone {zone} is not known to this version of the center; set another one")]
    ZoneUnknown {
        /// Its name.
        zone: Zone,
    },
    /// It would do nothing.
    #[error("no component is selected: add at least one component with its version package")]
    NoComponent,
    /// The package was deleted, or never was.
    #[error("component {component}: version package {package} does not exist; select another one")]
    PackageGone {
        /// The component.
        component: ComponentNo,
        /// The missing package.
        package: i64,
    },
    /// The package is not this component's.
    #[error("component {component}: version package {package} is for component {of} of product {product}")]
    OtherComponent {
        /// The plan's component.
        component: ComponentNo,
        /// The package.
        package: i64,
        /// The product it belongs to.
        product: ProductKey,
        /// The component it is for.
        of: ComponentNo,
    },
    /// The plan wants packages that passed on a device.
    #[error(
        "component {component}: version package {package} {}; verify it on a device, or let the plan not require it",
        .verified.told()
    )]
    NotVerified {
        /// The component.
        component: ComponentNo,
        /// The package.
        package: i64,
        /// What its verifications say.
        verified: Verified,
    },
    /// Nothing could be upgraded any more.
    #[error("the planned end {end} has passed; set a later one")]
    EndPassed {
        /// The planned end.
        end: Millis,
    },
    /// Manual mode shows a text to the end user.
    #[error("manual mode needs the upgrade text in language {language:?}")]
    TextMissing {
        /// `zh` or `en`.
        language: &'static str,
    },
    /// Another active plan brings a version to the same component.
    #[error(
        "component {component} is in plan {plan} ({name}) too, which is active: activate this one with --supersede (over \
         REST: {{\"supersede\": \"agreed\"}}), and it supersedes that plan"
    )]
    Overlaps {
        /// The component of both.
        component: ComponentNo,
        /// The other plan.
        plan: i64,
        /// Its name.
        name: Title,
    },
    /// A field breaks its rule.
    #[error(transparent)]
    Field(#[from] NameError),
}

/// Every reason why the plan may not be activated now, all at once; empty: it may.
pub fn activation_faults(
    settings: &PlanSettings,
    state: PlanState,
    packages: &[PackageFound],
    overlaps: &[Overlap],
    supersede: Supersede,
    now: Millis,
) -> Vec<ActivationFault> {
    let mut faults = Vec::new();
    if let Err(fault) = next_state(state, PlanEvent::Activate, None) {
        faults.push(fault.into());
    }
    if !settings.time_zone.is_known() {
        faults.push(ActivationFault::ZoneUnknown { zone: settings.time_zone.clone() });
    }
    if settings.components.is_empty() {
        faults.push(ActivationFault::NoComponent);
    }
    for (selected, found) in settings.components.iter().zip(packages) {
        let component = selected.component.clone();
        match found {
            PackageFound::Fits { verified, .. } => {
                if settings.verification == Verification::Required && *verified != Verified::Passed {
                    let (package, verified) = (selected.package, *verified);
                    faults.push(ActivationFault::NotVerified { component, package, verified });
                }
            }
            PackageFound::Gone { package } => {
                faults.push(ActivationFault::PackageGone { component, package: *package });
            }
            PackageFound::OtherComponent { package, product, component: of } => {
                faults.push(ActivationFault::OtherComponent {
                    component,
                    package: *package,
                    product: product.clone(),
                    of: of.clone(),
                });
            }
        }
    }
    if let Some(end) = settings.end.filter(|end| *end <= now) {
        faults.push(ActivationFault::EndPassed { end });
    }
    if settings.mode == Mode::Manual {
        for language in ["zh", "en"] {
            if settings.texts.get(language).is_none_or(|text| text.trim().is_empty()) {
                faults.push(ActivationFault::TextMissing { language });
            }
        }
    }
    if supersede == Supersede::Refuse {
        faults.extend(
            overlaps.iter().cloned().map(|Overlap { plan, name, component }| ActivationFault::Overlaps {
                component,
                plan,
                name,
            }),
        );
    }
    faults.extend(settings.faults().into_iter().map(ActivationFault::Field));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> PlanSettings {
        PlanSettings::new(
            Title::new("spring").unwrap(),
            ProductKey::new("p1abcd").unwrap(),
            "Europe/Berlin".parse().unwrap(),
            vec![PlanComponent { component: ComponentNo::new("STM32").unwrap(), package: 7 }],
        )
    }

    #[test]
    fn a_suspended_plan_resumes_to_where_it_was() {
        let resume = |from| next_state(PlanState::Suspended, PlanEvent::Resume, Some(from));
        assert_eq!(resume(PlanState::Activated), Ok(PlanState::Activated));
        assert_eq!(resume(PlanState::Upgrading), Ok(PlanState::Upgrading));
    }

    #[test]
    fn a_plan_that_is_over_takes_no_event() {
        for state in [PlanState::Terminated, PlanState::Ended] {
            for event in PlanEvent::ALL {
                assert_eq!(next_state(state, *event, None), Err(NoTransition { state, event: *event }));
            }
        }
    }

    #[test]
    fn every_state_but_the_last_ones_has_a_way_out() {
        for state in PlanState::ALL {
            let ways = TRANSITIONS.iter().filter(|(from, .., to)| from == state && to != state).count();
            assert_eq!(ways == 0, state.is_over(), "{state}");
        }
    }

    #[test]
    fn activation_names_every_fault_at_once() {
        let mut settings = settings();
        settings.mode = Mode::Manual;
        settings.texts.insert("en".into(), "new".into());
        settings.end = Some(Millis(99));
        settings.strategy.retries = 11;
        let overlap = Overlap {
            plan: 3,
            name: Title::new("winter").unwrap(),
            component: ComponentNo::new("STM32").unwrap(),
        };
        let faults = activation_faults(
            &settings,
            PlanState::Saved,
            &[PackageFound::Gone { package: 7 }],
            std::slice::from_ref(&overlap),
            Supersede::Refuse,
            Millis(100),
        );
        assert_eq!(faults.len(), 5, "{faults:?}");
        let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(text[0].contains("version package 7 does not exist"), "{text:?}");
        settings.strategy.retries = 2;
        settings.mode = Mode::Silent;
        settings.end = None;
        let fits = [fits(Verified::Never)];
        let faults =
            activation_faults(&settings, PlanState::Saved, &fits, &[overlap], Supersede::Agreed, Millis(100));
        assert_eq!(faults, []);
    }

    fn fits(verified: Verified) -> PackageFound {
        PackageFound::Fits { target: Version::new("2").unwrap(), verified }
    }

    #[test]
    fn a_plan_that_requires_verified_packages_takes_no_other_ones() {
        let mut settings = settings();
        let faults = |settings: &PlanSettings, verified| {
            let found = [fits(verified)];
            let faults =
                activation_faults(settings, PlanState::Saved, &found, &[], Supersede::Refuse, Millis(0));
            faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(faults(&settings, Verified::Failed), "");
        settings.verification = Verification::Required;
        assert_eq!(faults(&settings, Verified::Passed), "");
        assert!(faults(&settings, Verified::Never).contains("version package 7 has passed no firmware"));
        assert!(faults(&settings, Verified::Failed).contains("failed its last firmware verification"));
    }

    #[test]
    fn a_plan_is_activated_once() {
        let faults = activation_faults(
            &settings(),
            PlanState::Upgrading,
            &[fits(Verified::Never)],
            &[],
            Supersede::Refuse,
            Millis(0),
        );
        assert!(matches!(faults.as_slice(), [ActivationFault::State(_)]), "{faults:?}");
    }

    #[test]
    fn a_component_stands_in_a_plan_once() {
        let mut settings = settings();
        settings.components.push(settings.components[0].clone());
        assert_eq!(settings.faults()[0].rule, "each component once");
    }
}
