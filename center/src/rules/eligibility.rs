//! Eligibility: whether a device is offered a plan now, and if not, what blocks it (DEVELOPER-CENTER.md "Who is offered
//! what").

use super::applicability::{ComponentFacts, needed};
use super::block_reason::{BlockReason, Verifying, Wait};
use super::consent::Consent;
use super::device::{DeviceFacts, Knowledge};
use super::limits::{Load, has_room};
use super::plan::{Mode, OutsidePeriod, PlanSettings, PlanState, Push};
use super::progress::{ComponentState, Presence};
use super::readings::is_strong_enough;
use super::trigger::Trigger;
use super::upgrade::{Phase, Upgrade};
use crate::clock::Millis;

/// Whether a plan's lists include a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// There is no whitelist, or it holds the device; no blacklist holds it.
    Included,
    /// The blacklist holds it.
    Blacklisted,
    /// There is a whitelist, without it.
    NotWhitelisted,
}

/// Everything that the decision depends on.
#[derive(Debug, Clone)]
pub struct EligibilityInput<'a> {
    /// The plan.
    pub settings: &'a PlanSettings,
    /// Its state.
    pub state: PlanState,
    /// Why it suspended itself, if it did.
    pub halted: Option<&'a str>,
    /// How much of its limits is in use.
    pub load: Load,
    /// Its components, in order, seen from the device.
    pub components: &'a [ComponentFacts],
    /// The device.
    pub device: DeviceFacts<'a>,
    /// Whether the plan's lists include it.
    pub membership: Membership,
    /// The upgrade of the device by this plan, if it was offered once.
    pub upgrade: Option<&'a Upgrade>,
    /// Another upgrade that is in flight on the device.
    pub other_upgrade: Option<i64>,
    /// A firmware verification that has the device for itself.
    pub verification: Option<Verifying>,
    /// What the end user has agreed to.
    pub consent: Consent,
    /// Why the plan is evaluated.
    pub trigger: Trigger,
    /// The time.
    pub now: Millis,
}

/// The components to offer, as positions in the plan, or the first condition that holds the device back.
pub fn offer(input: &EligibilityInput<'_>) -> Result<Vec<usize>, BlockReason> {
    belongs(input)?;
    is_offered(input.settings, input.state, input.halted, input.trigger, input.now)?;
    if input.device.presence == Presence::Offline {
        return Err(BlockReason::Offline);
    }
    if input.device.versions == Knowledge::Stale {
        return Err(BlockReason::VersionsUnknown);
    }
    let components = needed(input.components)?;
    if let Some(upgrade) = input.upgrade {
        let retries = input.settings.strategy.retries;
        let failures = upgrade.current_component().map_or(0, |current| current.failures);
        if failures > u32::from(retries) {
            return Err(BlockReason::RetriesUsed { failures, retries });
        }
        if let Some((wait, until)) = pending_wait(upgrade)
            && until > input.now
            // A device that asks after a failure is ready now; one that refused has its delay.
            && !(wait == Wait::Failure && input.trigger == Trigger::Request)
        {
            // A low battery comes before the pause: the pause ends by itself, the battery does not.
            if wait == Wait::Failure {
                is_strong_enough(&input.settings.strategy, &input.device)?;
            }
            return Err(BlockReason::Waiting { wait, until });
        }
    }
    if let Some(upgrade) = input.other_upgrade {
        return Err(BlockReason::OtherUpgrade { upgrade });
    }
    if let Some(verifying) = input.verification {
        return Err(BlockReason::Verification(verifying));
    }
    if input.settings.mode == Mode::Manual {
        match input.consent {
            Consent::Awaited => return Err(BlockReason::AwaitingUser { missed: None }),
            Consent::Appointed { from, until } if input.now < from => {
                return Err(BlockReason::Appointed { from, until });
            }
            Consent::Appointed { until, .. } if input.now >= until => {
                return Err(BlockReason::AwaitingUser { missed: Some(until) });
            }
            Consent::Appointed { .. } | Consent::Given => {}
        }
    }
    is_strong_enough(&input.settings.strategy, &input.device)?;
    has_room(&input.settings.strategy, &input.load, Phase::of(input.upgrade))?;
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

fn belongs(input: &EligibilityInput<'_>) -> Result<(), BlockReason> {
    if input.settings.product != *input.device.product {
        return Err(BlockReason::OtherProduct { product: input.settings.product.clone() });
    }
    match input.membership {
        Membership::Included => {}
        Membership::Blacklisted => return Err(BlockReason::Blacklisted),
        Membership::NotWhitelisted => return Err(BlockReason::NotWhitelisted),
    }
    match (Phase::of(input.upgrade), input.upgrade) {
        (Phase::Ended(state), Some(upgrade)) => {
            Err(BlockReason::Finished { state, reason: upgrade.reason.clone() })
        }
        _ => Ok(()),
    }
}

/// Whether the plan is offered to anybody now.
pub fn is_offered(
    settings: &PlanSettings,
    state: PlanState,
    halted: Option<&str>,
    trigger: Trigger,
    now: Millis,
) -> Result<(), BlockReason> {
    if !state.offers() {
        return Err(BlockReason::PlanState { state, halted: halted.map(str::to_owned) });
    }
    if !settings.time_zone.is_known() {
        return Err(BlockReason::ZoneUnknown { zone: settings.time_zone.clone() });
    }
    if settings.push == Push::OnRequest && trigger != Trigger::Request {
        return Err(BlockReason::OnRequestOnly);
    }
    if let Some(start) = settings.start.filter(|start| now < *start) {
        return Err(BlockReason::BeforeStart { start });
    }
    if let Some(end) = settings.end.filter(|end| now >= *end) {
        return Err(BlockReason::AfterEnd { end });
    }
    let answers = trigger == Trigger::Request && settings.outside_period == OutsidePeriod::Answer;
    if let Some(period) = settings.push_period
        && !answers
        && !period.contains(now, &settings.time_zone)
    {
        let opens = period.opens(now, &settings.time_zone);
        return Err(BlockReason::OutsidePeriod { opens, zone: settings.time_zone.clone(), period });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::readings::lacks_status;
    use crate::rules::samples::{self, facts};
    use crate::rules::window::{PushPeriod, Zone};
    use crate::rules::{DeviceKey, ProductKey, Title};

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
                online_since: None,
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
            (
                |w| w.settings.time_zone = Zone::stored("Mars/Olympus"),
                |h| matches!(h, BlockReason::ZoneUnknown { .. }),
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
            online_since: None,
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
