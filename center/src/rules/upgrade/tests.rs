use crate::rules::component_fsm::OtaStatus;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rules::block_reason::{BlockReason, Wait};
use crate::rules::component_fsm::after_failure;
use crate::rules::device::{DeviceFacts, Knowledge, ReportedVersion};
use crate::rules::plan::{ENDED, Halt, PlanSettings, PlanState, Push, TERMINATED};
use crate::rules::progress::{OFFER_LEASE, Presence};
use crate::rules::samples::{self, facts};
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::CANCELLED;
use crate::rules::{DeviceKey, ProductKey, Title};

use ComponentState::*;

const NOW: Millis = Millis(1_772_359_200_000);
const LATER: Millis = Millis(NOW.0 + 60_000);

/// A plan and a device, as the function gets them.
struct World {
    settings: PlanSettings,
    plan: Option<PlanState>,
    suspended_from: Option<PlanState>,
    key: DeviceKey,
    presence: Presence,
    versions: Vec<ReportedVersion>,
    sdk: Option<&'static str>,
    now: Millis,
}

/// A plan that is Upgrading, and an online device whose components A to D are at version 1.
fn world() -> World {
    let product = ProductKey::new("p1abcd").unwrap();
    let zone = "UTC".parse().unwrap();
    let version =
        |name: &str| ReportedVersion { component: ComponentNo::new(name).unwrap(), version: "1".to_owned() };
    World {
        settings: PlanSettings::new(Title::new("spring").unwrap(), product, zone, Vec::new()),
        plan: Some(PlanState::Upgrading),
        suspended_from: None,
        key: DeviceKey::new("d1").unwrap(),
        presence: Presence::Online,
        versions: ["A", "B", "C", "D"].map(version).to_vec(),
        sdk: None,
        now: LATER,
    }
}

impl World {
    fn device(&self) -> DeviceFacts<'_> {
        DeviceFacts {
            product: &self.settings.product,
            key: &self.key,
            presence: self.presence,
            online_since: None,
            versions: Knowledge::Fresh,
            module_version: None,
            mcu_versions: &self.versions,
            sdk_version: self.sdk,
            battery: None,
            rsrp: None,
        }
    }

    /// Applies the input, and names the effects.
    fn apply(&self, upgrade: &mut Upgrade, input: Input) -> Vec<String> {
        let settings = &self.settings;
        let plan = self.plan.map(|state| PlanFacts { state, suspended_from: self.suspended_from, settings });
        upgrade.apply(input, plan, &self.device(), self.now).iter().map(name).collect()
    }

    fn status(&self, upgrade: &mut Upgrade, position: usize, status: OtaStatus) -> Vec<String> {
        let report = StatusReport { position, status, wants_sha256: false, reason: None };
        self.apply(upgrade, Input::Status(report))
    }

    fn reports(mut self, versions: [&str; 2]) -> Self {
        for (reported, version) in self.versions.iter_mut().zip(versions) {
            reported.version = version.to_owned();
        }
        self
    }
}

/// An effect in a few words.
fn name(effect: &Effect) -> String {
    match effect {
        Effect::Log { kind, .. } => format!("log {kind}"),
        Effect::SendOffer { positions, why } => format!("offer {positions:?} {why}"),
        Effect::SendFirmware { position } => format!("firmware {position}"),
        Effect::AskVersions => "ask versions".to_owned(),
        Effect::Plan(event) => format!("plan: {event}"),
        Effect::CountFailure { class } => format!("failure {class}"),
        Effect::CountEnd { state, class } => format!("end {state} {class}"),
        Effect::CountFinished => "finished".to_owned(),
        Effect::CountReverted => "reverted".to_owned(),
        Effect::UncountFailed => "uncount".to_owned(),
    }
}

fn one(state: ComponentState) -> Upgrade {
    samples::upgrade(&[state], NOW)
}

fn states(upgrade: &Upgrade) -> Vec<ComponentState> {
    upgrade.components.iter().map(|component| component.state).collect()
}

fn open_states() -> impl Iterator<Item = ComponentState> {
    ComponentState::ALL.iter().copied().filter(|state| !state.is_done())
}

fn verification(state: ComponentState) -> Upgrade {
    let mut upgrade = Upgrade::verification(DeviceId(5), facts("A", Some("1"), None, "2"), NOW);
    upgrade.id = UpgradeId(7);
    upgrade.components[0].state = state;
    upgrade
}

// The state table: every state with every status, version and silence.

#[test]
fn every_status_in_every_state_has_its_effects() {
    let rows: &[(OtaStatus, ComponentState, &[&str])] = &[
        (OtaStatus::PlanReceived, PlanReceived, &[]),
        (OtaStatus::Confirmed, Confirmed, &["firmware 0"]),
        (OtaStatus::Refused, Refused, &[]),
        (OtaStatus::DownloadStart, ReadyToDownload, &[]),
        (OtaStatus::Downloading, Downloading, &[]),
        (OtaStatus::DownloadError, DownloadFailed, &["failure download", "log failure"]),
        (OtaStatus::Downloaded, Downloaded, &[]),
        (OtaStatus::Updating, Upgrading, &[]),
        (OtaStatus::UpdateSuccess, Upgrading, &["ask versions"]),
        (OtaStatus::UpdateError, Failed, &["failure device", "log failure"]),
    ];
    let known: Vec<OtaStatus> = rows.iter().map(|row| row.0).chain([OtaStatus::NoPlan]).collect();
    assert!(OtaStatus::ALL.iter().all(|status| known.contains(status)));
    for (status, after, effects) in rows {
        for state in open_states() {
            let mut upgrade = one(state);
            let done = world().status(&mut upgrade, 0, *status);
            // A failure that is reported again is no further attempt.
            let is_repeated = state == *after && matches!(state, DownloadFailed | Failed);
            let expected: &[&str] = match status {
                _ if is_repeated => &[],
                // A new offer ends the attempt, unless it has only just been confirmed.
                OtaStatus::PlanReceived if state.is_in_flight() && state != Confirmed => {
                    &["failure restarted", "log failure"]
                }
                _ => effects,
            };
            assert_eq!(done, expected, "{state} {status:?}");
            assert_eq!(upgrade.components[0].state, *after, "{state} {status:?}");
            assert_eq!(upgrade.ended, None, "{state} {status:?}");
        }
    }
}

#[test]
fn status_0_and_any_status_of_a_done_component_move_nothing() {
    for state in open_states() {
        let mut upgrade = one(state);
        assert!(world().status(&mut upgrade, 0, OtaStatus::NoPlan).is_empty(), "{state}");
        assert_eq!(states(&upgrade), [state]);
    }
    for state in [Succeeded, NotRequired] {
        for status in OtaStatus::ALL {
            let mut upgrade = samples::upgrade(&[state, PlanNotReceived], NOW);
            let before = upgrade.clone();
            assert!(world().status(&mut upgrade, 0, status).is_empty(), "{state} {status:?}");
            assert_eq!(upgrade.components, before.components, "{state} {status:?}");
        }
    }
}

#[test]
fn the_target_version_ends_every_state_well() {
    for state in open_states() {
        let mut upgrade = one(state);
        let done = world().reports(["2", "1"]).apply(&mut upgrade, Input::Versions { proof: None });
        let (component, end) = if state.has_started() {
            (Succeeded, "end upgraded none")
        } else {
            (NotRequired, "end no_update_required none")
        };
        assert_eq!(done, ["log version", "log success", end], "{state}");
        assert_eq!(states(&upgrade), [component], "{state}");
        assert_eq!((upgrade.ended, upgrade.components[0].lease_until), (Some(LATER), None), "{state}");
    }
}

#[test]
fn another_version_fails_only_an_upgrading_component_or_a_claimed_success() {
    let failed = ["log version", "failure wrong_version", "log failure"];
    for state in open_states() {
        for version in ["1", "9"] {
            let world = world().reports([version, "1"]);
            let mut upgrade = one(state);
            let done = world.apply(&mut upgrade, Input::Versions { proof: None });
            let expected: &[&str] = if (state, version) == (Upgrading, "9") { &failed } else { &[] };
            assert_eq!(done, expected, "{state} {version}");
            for claimed in [true, false] {
                let mut upgrade = one(state);
                upgrade.components[0].proving = claimed;
                let proof = (!claimed).then_some(0);
                assert!(upgrade.reacts_to_versions(&world.device(), proof));
                assert_eq!(world.apply(&mut upgrade, Input::Versions { proof }), failed, "{state} {version}");
                assert_eq!(states(&upgrade), [Failed], "{state} {version}");
            }
        }
    }
}

#[test]
fn a_lease_that_runs_out_ends_what_was_waited_for() {
    for state in open_states() {
        let mut upgrade = one(state);
        let lease = upgrade.components[0].lease_until;
        let world = World { now: NOW + Millis::hours(25), presence: Presence::Offline, ..world() };
        let done = world.apply(&mut upgrade, Input::LeaseCheck);
        let (after, expected): (_, &[&str]) = match state {
            PlanNotReceived | PlanReceived => (PlanNotReceived, &["log decision"]),
            DownloadFailed | Failed => (state, &["end upgrade_failed given_up", "log decision"]),
            Refused => (Refused, &[]),
            _ => (Failed, &["failure silence", "log failure"]),
        };
        assert_eq!(done, expected, "{state}");
        assert_eq!(states(&upgrade), [after], "{state}");
        assert_eq!(lease.is_none(), state == Refused, "{state}");
    }
}

#[test]
fn a_lease_that_has_not_run_out_is_left_alone() {
    for state in open_states() {
        let mut upgrade = one(state);
        let before = upgrade.clone();
        assert!(World { now: NOW, ..world() }.apply(&mut upgrade, Input::LeaseCheck).is_empty());
        assert_eq!(upgrade, before, "{state}");
        assert!(!upgrade.has_lease_over(NOW));
    }
}

// Confirmation and the plan.

#[test]
fn the_first_confirmation_starts_an_activated_plan() {
    let confirm = |plan, suspended_from| {
        let world = World { plan, suspended_from, ..world() };
        let mut upgrade = one(PlanReceived);
        let done = world.status(&mut upgrade, 0, OtaStatus::Confirmed);
        assert_eq!(upgrade.confirmed, Some(LATER));
        done
    };
    let starts = ["plan: device starts", "log decision", "firmware 0"];
    assert_eq!(confirm(Some(PlanState::Activated), None), starts);
    assert_eq!(confirm(Some(PlanState::Upgrading), None), ["firmware 0"]);
    let suspended = confirm(Some(PlanState::Suspended), Some(PlanState::Activated));
    assert_eq!(suspended, ["plan: device starts", "firmware 0"], "it resumes as Upgrading");
    assert_eq!(confirm(Some(PlanState::Ended), None), ["firmware 0"]);
    assert_eq!(confirm(None, None), ["firmware 0"], "a firmware verification has no plan");
}

#[test]
fn a_confirmation_keeps_the_wish_for_sha256_and_clears_the_wait() {
    let mut upgrade = one(Refused);
    upgrade.next_offer = Some(NOW);
    upgrade.reason = Some("the device refused".to_owned());
    let report = StatusReport { position: 0, status: OtaStatus::Confirmed, wants_sha256: true, reason: None };
    world().apply(&mut upgrade, Input::Status(report));
    assert!(upgrade.components[0].wants_sha256);
    assert_eq!((upgrade.next_offer, upgrade.reason), (None, None));
    assert_eq!(upgrade.components[0].lease_until, Some(LATER + Millis::minutes(2)));
}

#[test]
fn a_refusal_waits_for_the_delay_of_the_plan_and_says_why() {
    let mut upgrade = one(PlanReceived);
    let reason = Some("battery low".to_owned());
    let report = StatusReport { position: 0, status: OtaStatus::Refused, wants_sha256: false, reason };
    world().apply(&mut upgrade, Input::Status(report));
    assert_eq!(upgrade.next_offer, Some(LATER + Millis::hours(2)));
    assert_eq!(upgrade.reason.as_deref(), Some("the device refused: battery low"));
    assert_eq!(upgrade.phase(), Phase::Waiting);
}

#[test]
fn status_1_in_the_middle_ends_the_attempt_which_counts_without_progress() {
    for (fetched, failures) in [(0, 1), (1, 0)] {
        let mut upgrade = one(Downloading);
        upgrade.components[0].fetched = fetched;
        let done = world().status(&mut upgrade, 0, OtaStatus::PlanReceived);
        assert_eq!(done, ["failure restarted", "log failure"]);
        assert_eq!((upgrade.confirmed, upgrade.components[0].failures), (None, failures));
        assert_eq!(upgrade.phase(), Phase::Offered);
    }
}

// Failures and retries.

#[test]
fn a_failure_is_retried_after_its_pause_until_no_attempt_is_left() {
    let mut upgrade = one(Upgrading);
    for failures in 1..=2 {
        assert_eq!(
            world().status(&mut upgrade, 0, OtaStatus::UpdateError),
            ["failure device", "log failure"]
        );
        assert_eq!(upgrade.components[0].failures, failures);
        let crate::rules::component_fsm::After::Retry(at) =
            after_failure(failures, 2, PlanState::Upgrading, LATER)
        else {
            panic!("a retry is left");
        };
        assert_eq!(upgrade.next_offer, Some(at));
        assert_eq!(upgrade.components[0].lease_until, Some(at + Millis::hours(24)));
        assert_eq!(upgrade.phase(), Phase::RetryPending);
        world().status(&mut upgrade, 0, OtaStatus::Updating);
    }
    let last = world().status(&mut upgrade, 0, OtaStatus::UpdateError);
    assert_eq!(last, ["failure device", "log failure", "end upgrade_failed device"]);
    assert_eq!(upgrade.phase(), Phase::Ended(UpgradeState::Failed));
    assert_eq!((upgrade.next_offer, upgrade.components[0].lease_until), (None, None));
    assert_eq!(upgrade.reason.as_deref(), Some("the device reports a failed upgrade (status 12)"));
}

#[test]
fn a_download_that_came_further_does_not_count() {
    let mut upgrade = one(Downloading);
    upgrade.components[0].fetched = 10;
    world().status(&mut upgrade, 0, OtaStatus::DownloadError);
    assert_eq!((upgrade.components[0].failures, upgrade.components[0].fetched_before), (0, 10));
    world().status(&mut upgrade, 0, OtaStatus::Downloading);
    world().status(&mut upgrade, 0, OtaStatus::DownloadError);
    assert_eq!(upgrade.components[0].failures, 1);
}

#[test]
fn a_plan_that_is_over_and_a_verification_have_no_further_attempt() {
    for plan in [Some(PlanState::Terminated), Some(PlanState::Ended), None] {
        let mut upgrade = one(Upgrading);
        let done = World { plan, ..world() }.status(&mut upgrade, 0, OtaStatus::UpdateError);
        assert_eq!(done, ["failure device", "log failure", "end upgrade_failed device"], "{plan:?}");
    }
}

#[test]
fn an_unanswered_offer_of_the_next_component_counts_as_a_failure() {
    let mut upgrade = samples::upgrade(&[Succeeded, PlanNotReceived], NOW);
    assert_eq!(upgrade.phase(), Phase::NextOffered);
    let world = World { now: NOW + OFFER_LEASE, ..world() };
    let done = world.apply(&mut upgrade, Input::LeaseCheck);
    assert_eq!(done, ["failure silence", "log failure"]);
    assert_eq!(states(&upgrade), [Succeeded, Failed]);
}

#[test]
fn a_device_that_is_there_or_whose_plan_is_suspended_is_not_given_up() {
    let late = NOW + Millis::hours(25);
    for (presence, plan) in
        [(Presence::Online, PlanState::Upgrading), (Presence::Offline, PlanState::Suspended)]
    {
        let mut upgrade = one(Failed);
        let world = World { presence, plan: Some(plan), now: late, ..world() };
        assert!(world.apply(&mut upgrade, Input::LeaseCheck).is_empty());
        assert_eq!(upgrade.components[0].lease_until, Some(late + Millis::hours(24)));
    }
}

// Several components.

#[test]
fn the_next_component_gets_its_url_or_an_offer_by_the_sdk_of_the_device() {
    for (sdk, expected) in [(Some("2.9.1"), "firmware 1"), (None, "offer [1] next component")] {
        let mut upgrade = samples::upgrade(&[Confirmed, Confirmed], NOW);
        let world = World { sdk, ..world() }.reports(["2", "1"]);
        let done = world.apply(&mut upgrade, Input::Versions { proof: None });
        assert_eq!(done, ["log version", "log success", expected]);
        assert_eq!(upgrade.current(), Some(1));
        assert!(upgrade.components[1].lease_until.is_some() && upgrade.is_in_progress());
    }
}

#[test]
fn an_offer_stands_for_the_rest_when_a_component_needs_nothing() {
    let mut upgrade = samples::upgrade(&[PlanReceived, PlanReceived], NOW);
    let done = world().reports(["2", "1"]).apply(&mut upgrade, Input::Versions { proof: None });
    assert_eq!(done, ["log version", "log success"]);
    assert_eq!(states(&upgrade), [NotRequired, PlanReceived]);
    assert_eq!(upgrade.components[1].lease_until, Some(LATER + OFFER_LEASE));
}

#[test]
fn versions_of_all_components_end_the_upgrade_at_once() {
    let mut upgrade = samples::upgrade(&[Upgrading, PlanNotReceived], NOW);
    let done = world().reports(["2", "2"]).apply(&mut upgrade, Input::Versions { proof: None });
    let expected = [
        "log version",
        "log success",
        "offer [1] next component",
        "log version",
        "log success",
        "end upgraded none",
    ];
    assert_eq!(done, expected);
    assert_eq!(states(&upgrade), [Succeeded, NotRequired]);
}

#[test]
fn a_success_with_the_target_version_is_done_without_asking() {
    let mut upgrade = one(Upgrading);
    let done = world().reports(["2", "1"]).status(&mut upgrade, 0, OtaStatus::UpdateSuccess);
    assert_eq!(done, ["log success", "end upgraded none"]);
}

// The halt of the plan.

#[test]
fn only_ends_that_say_something_about_the_firmware_count_for_the_halt() {
    let mut world = world();
    world.settings.strategy.retries = 0;
    let fail = |world: &World, upgrade: &mut Upgrade| world.status(upgrade, 0, OtaStatus::UpdateError);
    assert!(!fail(&world, &mut one(Upgrading)).contains(&"finished".to_owned()), "the plan has no halt");
    world.settings.strategy.halt = Some(Halt { percent: 10, after: 5 });
    assert_eq!(fail(&world, &mut one(Upgrading)).last().unwrap(), "finished");
    let mut cancelled = one(Upgrading);
    cancelled.cancelled = Some(NOW);
    let done = fail(&world, &mut cancelled);
    assert_eq!(done.last().unwrap(), "end upgrade_failed cancelled");
    let world = world.reports(["2", "1"]);
    let versions = || Input::Versions { proof: None };
    assert_eq!(world.apply(&mut one(Upgrading), versions()).last().unwrap(), "finished");
    let not_required = world.apply(&mut one(PlanReceived), versions());
    assert_eq!(not_required.last().unwrap(), "end no_update_required none");
}

// Offers.

#[test]
fn an_offer_makes_the_upgrade_and_a_later_one_keeps_what_is_done_and_the_failures() {
    let components =
        |a, b| vec![(facts("A", Some("1"), None, "2"), a), (facts("B", Some("1"), Some("0"), "2"), b)];
    let mut upgrade = Upgrade::new(Some(PlanId(3)), DeviceId(5), LATER, Vec::new());
    assert_eq!(upgrade.phase(), Phase::Waiting);
    let input = Input::Offer { components: components(Offered::Yes, Offered::No), trigger: Trigger::Mark };
    assert_eq!(world().apply(&mut upgrade, input), ["offer [0] mark"]);
    assert_eq!(states(&upgrade), [PlanNotReceived, NotRequired]);
    assert_eq!(upgrade.components[0].lease_until, Some(LATER + OFFER_LEASE));
    assert!(upgrade.components[1].reason.as_deref().unwrap().contains("the delta package needs 0"));
    assert_eq!(upgrade.state, UpgradeState::NotUpgraded);

    upgrade.components[0].state = Succeeded;
    upgrade.components[1].failures = 2;
    upgrade.confirmed = Some(NOW);
    let input = Input::Offer { components: components(Offered::No, Offered::Yes), trigger: Trigger::Retry };
    assert_eq!(world().apply(&mut upgrade, input), ["offer [1] retry"]);
    assert_eq!(states(&upgrade), [Succeeded, PlanNotReceived]);
    assert_eq!((upgrade.components[1].failures, upgrade.confirmed), (2, Some(NOW)));
}

#[test]
fn an_offer_again_renews_only_what_is_not_in_flight() {
    let mut offered = one(PlanReceived);
    assert_eq!(world().apply(&mut offered, Input::OfferAgain), ["offer [0] again"]);
    assert_eq!(offered.components[0].lease_until, Some(LATER + OFFER_LEASE));
    let mut at_work = one(Downloading);
    let before = at_work.clone();
    assert_eq!(world().apply(&mut at_work, Input::Request { blocked: None }), ["offer [0] again"]);
    assert_eq!(at_work, before, "the answer decides what becomes of the attempt");
}

#[test]
fn a_withdrawn_offer_has_no_lease_and_its_upgrade_stays_open() {
    let mut upgrade = one(PlanNotReceived);
    assert!(world().apply(&mut upgrade, Input::Withdraw).is_empty());
    assert!(!upgrade.is_outstanding() && upgrade.ended.is_none());
    assert_eq!(upgrade.phase(), Phase::Waiting);
}

#[test]
fn leases_in_flight_follow_the_connection_and_that_of_applying_does_not() {
    for (state, expected) in [
        (Downloading, Some(LATER + Millis::hours(24))),
        (Upgrading, Some(NOW + Millis::minutes(30))),
        (PlanReceived, Some(NOW + OFFER_LEASE)),
    ] {
        let mut upgrade = one(state);
        let world = World { presence: Presence::Offline, ..world() };
        assert!(world.apply(&mut upgrade, Input::PresenceChange).is_empty());
        assert_eq!(upgrade.components[0].lease_until, expected, "{state}");
    }
}

#[test]
fn a_due_offer_that_is_blocked_is_postponed_by_what_blocks_it() {
    let mark = "UTC".parse::<crate::rules::window::Zone>().unwrap().next_mark(LATER);
    let per_minute = BlockReason::PerMinute { limit: 1, until: Millis(9) };
    let rows = [
        (Failed, Some(BlockReason::AwaitingUser { missed: None }), StatusQuery::None, None),
        (
            Failed,
            Some(BlockReason::InFlight { limit: 1 }),
            StatusQuery::None,
            Some(LATER + Millis::seconds(10)),
        ),
        (Failed, Some(per_minute), StatusQuery::None, Some(Millis(9))),
        (Failed, None, StatusQuery::Pending, Some(LATER + Millis::seconds(30))),
        (Failed, Some(BlockReason::Offline), StatusQuery::None, Some(mark)),
        (Refused, Some(BlockReason::Offline), StatusQuery::None, None),
        (Refused, None, StatusQuery::None, None),
    ];
    for (state, blocked, status, expected) in rows {
        let mut upgrade = one(state);
        upgrade.next_offer = Some(NOW);
        let input = Input::OfferPostponed { blocked: blocked.clone(), status };
        assert!(world().apply(&mut upgrade, input).is_empty(), "{state} {blocked:?}");
        assert_eq!(upgrade.next_offer, expected, "{state} {blocked:?}");
    }
    let mut world = world();
    world.settings.push = Push::OnRequest;
    let mut upgrade = one(Failed);
    let wait = BlockReason::Waiting { wait: Wait::Failure, until: LATER };
    world.apply(&mut upgrade, Input::OfferPostponed { blocked: Some(wait), status: StatusQuery::None });
    assert_eq!(upgrade.next_offer, None, "only the device's own request is answered");
}

#[test]
fn a_package_that_does_not_fit_any_more_ends_what_has_started() {
    let differs = BlockReason::SourceDiffers {
        component: ComponentNo::new("A").unwrap(),
        reported: "0".to_owned(),
        source: Version::new("1").unwrap(),
    };
    let input = || Input::OfferPostponed { blocked: Some(differs.clone()), status: StatusQuery::None };
    let mut upgrade = one(Failed);
    assert_eq!(world().apply(&mut upgrade, input()), ["end upgrade_failed given_up", "log decision"]);
    assert_eq!(upgrade.reason, Some(differs.to_string()));
    let mut refused = one(Refused);
    assert!(world().apply(&mut refused, input()).is_empty(), "a device that has not started waits");
}

#[test]
fn a_due_offer_of_a_plan_that_is_over_ends_the_upgrade() {
    for (plan, state, reason) in [
        (PlanState::Terminated, UpgradeState::Failed, TERMINATED),
        (PlanState::Ended, UpgradeState::NotUpgraded, ENDED),
    ] {
        let mut upgrade = one(Refused);
        let world = World { plan: Some(plan), ..world() };
        let input = Input::OfferPostponed { blocked: None, status: StatusQuery::None };
        assert_eq!(
            world.apply(&mut upgrade, input),
            [format!("end {state} plan_over"), "log decision".into()]
        );
        assert_eq!((upgrade.phase(), upgrade.reason.as_deref()), (Phase::Ended(state), Some(reason)));
    }
}

// Firmware verification.

#[test]
fn a_verification_is_offered_once_the_device_has_told_its_version() {
    let mut upgrade = verification(PlanNotReceived);
    upgrade.components[0].source = None;
    let world = World { plan: None, ..world() };
    assert_eq!(world.apply(&mut upgrade, Input::OfferVerification), ["offer [0] firmware verification"]);
    assert_eq!(upgrade.components[0].source.as_deref(), Some("1"));
    assert_eq!((upgrade.next_offer, upgrade.phase()), (None, Phase::Offered));
    let mut due = verification(PlanNotReceived);
    world.apply(&mut due, Input::OfferPostponed { blocked: None, status: StatusQuery::None });
    assert_eq!(due.next_offer, Some(LATER + Millis::seconds(30)));
}

#[test]
fn an_unanswered_verification_is_offered_again_at_once() {
    let mut upgrade = verification(PlanNotReceived);
    let world = World { plan: None, ..world() };
    world.apply(&mut upgrade, Input::OfferVerification);
    let world = World { now: LATER + OFFER_LEASE, ..world };
    assert_eq!(world.apply(&mut upgrade, Input::LeaseCheck), ["log decision"]);
    assert_eq!(upgrade.next_offer, Some(LATER + OFFER_LEASE));
}

#[test]
fn a_verification_fails_by_refusal_by_what_blocks_it_and_by_its_deadline() {
    let world = World { plan: None, ..world() };
    let ended = ["end upgrade_failed verification", "log decision"];
    let mut refused = verification(PlanReceived);
    assert_eq!(world.status(&mut refused, 0, OtaStatus::Refused), ended);
    let mut blocked = verification(PlanNotReceived);
    let input = Input::VerificationBlocked(BlockReason::AtTarget);
    assert_eq!(world.apply(&mut blocked, input), ended);
    assert_eq!(blocked.reason, Some(BlockReason::AtTarget.to_string()));
    let mut late = verification(PlanNotReceived);
    assert_eq!(world.apply(&mut late, Input::DeadlinePassed), ended);
    assert!(late.reason.unwrap().ends_with("was not offered: offline, or busy with a plan"));
    let mut late = verification(Downloading);
    world.apply(&mut late, Input::DeadlinePassed);
    assert!(late.reason.unwrap().ends_with("the device was at downloading"));
}

// End users and operators.

#[test]
fn a_cancelled_device_has_failed_at_once_unless_it_is_at_work() {
    let mut idle = one(PlanReceived);
    let done = world().apply(&mut idle, Input::Cancel);
    assert_eq!(done, ["log user", "end upgrade_failed cancelled", "log decision"]);
    assert_eq!((states(&idle), idle.reason.as_deref()), (vec![Failed], Some(CANCELLED)));
    let mut at_work = one(Downloading);
    assert_eq!(world().apply(&mut at_work, Input::Cancel), ["log user"]);
    assert_eq!((at_work.ended, at_work.reason.as_deref()), (None, Some(CANCELLED)));
    assert!(!at_work.may_fetch(&ComponentNo::new("A").unwrap()));
}

#[test]
fn what_a_device_reports_after_its_user_has_cancelled_ends_the_upgrade() {
    let cancelled = |state| {
        let mut upgrade = one(state);
        upgrade.cancelled = Some(NOW);
        upgrade
    };
    let ended = ["end upgrade_failed cancelled", "log decision"];
    assert_eq!(world().status(&mut cancelled(Downloading), 0, OtaStatus::Confirmed), ended);
    assert_eq!(world().apply(&mut cancelled(Downloading), Input::Request { blocked: None }), ended);
    let mut failed = cancelled(Downloading);
    let done = world().status(&mut failed, 0, OtaStatus::DownloadError);
    assert_eq!(done, ["failure download", "log failure", "end upgrade_failed cancelled"]);
    assert_eq!(failed.reason.as_deref(), Some(CANCELLED));
    let mut refused = cancelled(PlanReceived);
    assert_eq!(world().status(&mut refused, 0, OtaStatus::Refused), ended);
    let mut first = samples::upgrade(&[Upgrading, Confirmed], NOW);
    first.cancelled = Some(NOW);
    let done = world().reports(["2", "1"]).apply(&mut first, Input::Versions { proof: None });
    assert_eq!(&done[2..], ended);
    assert_eq!(states(&first), [Succeeded, Failed]);
}

#[test]
fn a_retry_of_the_user_has_all_attempts_again() {
    let mut upgrade = samples::ended(UpgradeState::Failed, NOW);
    upgrade.components[0].failures = 3;
    upgrade.cancelled = Some(NOW);
    assert_eq!(world().apply(&mut upgrade, Input::UserRetry), ["log user"]);
    assert_eq!((upgrade.phase(), upgrade.components[0].failures), (Phase::Waiting, 0));
    assert_eq!(
        (upgrade.cancelled, upgrade.confirmed, upgrade.state),
        (None, None, UpgradeState::NotUpgraded)
    );
}

#[test]
fn a_retry_of_the_operator_is_due_at_once_and_takes_the_failure_back() {
    let mut upgrade = samples::ended(UpgradeState::Failed, NOW);
    assert_eq!(world().apply(&mut upgrade, Input::OperatorRetry), ["uncount", "log decision"]);
    assert_eq!((upgrade.phase(), upgrade.next_offer), (Phase::Waiting, Some(LATER)));
    let mut cancelled = samples::ended(UpgradeState::Failed, NOW);
    cancelled.cancelled = Some(NOW);
    assert_eq!(world().apply(&mut cancelled, Input::OperatorRetry), ["log decision"], "it never counted");
    let mut half = samples::upgrade(&[Succeeded, Failed], NOW);
    half.ended = Some(NOW);
    half.state = UpgradeState::Failed;
    world().apply(&mut half, Input::OperatorRetry);
    assert_eq!(states(&half), [Succeeded, Failed]);
    assert_eq!(half.components[1].lease_until, Some(LATER + Millis::hours(24)));
    assert_eq!(half.phase(), Phase::RetryPending);
}

#[test]
fn a_device_that_is_left_out_is_not_upgraded_and_keeps_the_states_of_its_components() {
    let mut open = one(Refused);
    let done = world().apply(&mut open, Input::Skip("test bench".to_owned()));
    assert_eq!(done, ["end not_upgraded left_out", "log decision"]);
    assert_eq!(open.reason.as_deref(), Some("left out by the operator: test bench"));
    assert_eq!((open.phase(), states(&open)), (Phase::Ended(UpgradeState::NotUpgraded), vec![Refused]));
    let mut failed = samples::ended(UpgradeState::Failed, NOW);
    assert_eq!(world().apply(&mut failed, Input::Skip(String::new())), ["uncount", "log decision"]);
    assert_eq!(failed.reason.as_deref(), Some("left out by the operator"));
    assert_eq!(failed.phase(), Phase::Ended(UpgradeState::NotUpgraded));
}

// Phases.

#[test]
fn the_phase_says_how_far_a_device_is() {
    let rows = [
        (PlanNotReceived, Phase::Offered),
        (PlanReceived, Phase::Offered),
        (Refused, Phase::Waiting),
        (Confirmed, Phase::AtWork),
        (ReadyToDownload, Phase::AtWork),
        (Downloading, Phase::AtWork),
        (Downloaded, Phase::AtWork),
        (Upgrading, Phase::AtWork),
        (DownloadFailed, Phase::RetryPending),
        (Failed, Phase::RetryPending),
    ];
    for (state, phase) in rows {
        assert_eq!(one(state).phase(), phase, "{state}");
        assert_eq!(phase.is_in_flight(), one(state).is_outstanding(), "{state}");
    }
    assert_eq!(Phase::of(None), Phase::NotOffered);
    assert_eq!(samples::upgrade(&[Succeeded, PlanReceived], NOW).phase(), Phase::NextOffered);
    let mut pending = samples::upgrade(&[Succeeded, PlanReceived], NOW);
    pending.components[1].lease_until = None;
    assert_eq!(pending.phase(), Phase::NextPending);
}

#[test]
fn an_upgrade_that_has_ended_takes_nothing_but_a_retry_and_a_skip() {
    for state in UpgradeState::ALL {
        let ended = samples::ended(*state, NOW);
        for input in inputs() {
            if matches!(input, Input::UserRetry | Input::OperatorRetry | Input::Skip(_)) {
                continue;
            }
            let mut upgrade = ended.clone();
            assert!(world().reports(["2", "2"]).apply(&mut upgrade, input.clone()).is_empty(), "{input:?}");
            assert_eq!(upgrade, ended, "{input:?}");
        }
    }
}

#[test]
fn a_reason_of_the_device_is_logged_with_the_failure() {
    let mut upgrade = one(Upgrading);
    let world = world();
    let reason = Some("flash (reason 4)".to_owned());
    let report = StatusReport { position: 0, status: OtaStatus::UpdateError, wants_sha256: false, reason };
    let plan = PlanFacts { state: PlanState::Upgrading, suspended_from: None, settings: &world.settings };
    let effects = upgrade.apply(Input::Status(report), Some(plan), &world.device(), NOW);
    let expected = json!({
        "reason": "the device reports a failed upgrade (status 12): flash (reason 4)",
        "counted": true, "failures": 1, "retries": 2, "next": NOW + Millis::seconds(10),
    });
    let component = Some(ComponentNo::new("A").unwrap());
    assert_eq!(effects[1], Effect::Log { component, kind: "failure", value: expected });
}

#[test]
fn a_target_that_is_reported_without_an_update_is_a_success_with_a_warning() {
    let early = [Confirmed, ReadyToDownload, Downloading, Downloaded].map(|state| (state, true));
    for (state, warned) in early.into_iter().chain([(Upgrading, false), (PlanNotReceived, false)]) {
        let mut upgrade = one(state);
        let world = world().reports(["2", "2"]);
        let plan = PlanFacts { state: PlanState::Upgrading, suspended_from: None, settings: &world.settings };
        let effects = upgrade.apply(Input::Versions { proof: None }, Some(plan), &world.device(), NOW);
        let logged = effects.iter().find_map(|effect| match effect {
            Effect::Log { kind: "success", value, .. } => Some(value),
            _ => None,
        });
        assert_eq!(logged.unwrap()["warning"].is_string(), warned, "{state} {effects:?}");
    }
}

/// One input of each kind, a status for each of its values.
fn inputs() -> Vec<Input> {
    let offer = |offered| {
        vec![(facts("A", Some("1"), None, "2"), offered), (facts("B", Some("1"), None, "2"), Offered::Yes)]
    };
    let blocked = |blocked| Input::OfferPostponed { blocked, status: StatusQuery::None };
    let mut inputs = vec![
        Input::Versions { proof: None },
        Input::Versions { proof: Some(0) },
        Input::LeaseCheck,
        Input::PresenceChange,
        Input::Request { blocked: None },
        Input::Request {
            blocked: Some(BlockReason::Superseded { component: ComponentNo::new("A").unwrap(), by: 9 }),
        },
        Input::Reversion,
        Input::OfferAgain,
        Input::Withdraw,
        Input::Offer { components: offer(Offered::Yes), trigger: Trigger::Mark },
        Input::Offer { components: offer(Offered::No), trigger: Trigger::Request },
        blocked(None),
        blocked(Some(BlockReason::InFlight { limit: 1 })),
        blocked(Some(BlockReason::Superseded { component: ComponentNo::new("A").unwrap(), by: 9 })),
        Input::Cancel,
        Input::UserRetry,
        Input::OperatorRetry,
        Input::Skip("bench".to_owned()),
    ];
    for status in OtaStatus::ALL {
        for position in 0..2 {
            let report = StatusReport { position, status, wants_sha256: false, reason: None };
            inputs.push(Input::Status(report));
        }
    }
    inputs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_an_upgrade_stays_whole(
        steps in proptest::collection::vec(
            (prop::sample::select(inputs()), 0i64..90, any::<bool>(), any::<bool>(), 0usize..4),
            1..40,
        ),
        first in prop::sample::select(ComponentState::ALL),
    ) {
        let mut upgrade = samples::upgrade(&[first, PlanNotReceived], NOW);
        let mut world = world();
        let versions = [["1", "1"], ["2", "1"], ["2", "2"], ["9", "1"]];
        for (input, minutes, online, over, reported) in steps {
            world.now = world.now + Millis::minutes(minutes);
            world.presence = if online { Presence::Online } else { Presence::Offline };
            world.plan = Some(if over { PlanState::Terminated } else { PlanState::Upgrading });
            world = world.reports(versions[reported]);
            let before = upgrade.clone();
            // The engine lets a user cancel what is not at its end, and retries what has failed.
            let retries = matches!(input, Input::UserRetry | Input::OperatorRetry);
            if retries && before.ended.is_none() {
                continue;
            }
            let effects = world.apply(&mut upgrade, input.clone());
            let ends = effects.iter().filter(|effect| effect.starts_with("end ")).count();
            prop_assert_eq!(ends, usize::from(before.ended.is_none() && upgrade.ended.is_some()), "{:?}", input);
            let leased: Vec<_> = upgrade.components.iter().filter(|part| part.lease_until.is_some()).collect();
            let in_flight = leased.iter().filter(|part| part.state.is_in_flight()).count();
            prop_assert!(in_flight <= 1, "{:?}: {} components are in flight", input, in_flight);
            if upgrade.ended.is_some() {
                prop_assert!(leased.is_empty() && upgrade.next_offer.is_none(), "{:?}", input);
                prop_assert!(upgrade.state != UpgradeState::Upgrading, "{:?}", input);
            }
            let reoffers = matches!(input, Input::Offer { .. } | Input::Reversion);
            for (old, new) in before.components.iter().zip(&upgrade.components) {
                prop_assert!(!old.state.is_done() || new.state.is_done() || reoffers, "{:?}: {} to {}", input, old.state, new.state);
            }
            prop_assert_eq!(upgrade.phase().is_in_flight(), upgrade.is_outstanding(), "{:?}", input);
        }
    }
}
