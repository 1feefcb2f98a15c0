//! Firmware verification, packet by packet: one device, one package, outside any plan, an hour.

mod conversation;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::engine::Downlink;
use quecota_center::rules::plan::Verified;
use quecota_center::rules::plan::{PlanComponent, PlanSettings, Supersede, Verification};
use quecota_center::rules::progress::{ComponentState, UpgradeState};
use quecota_center::rules::verification::VerificationState;
use quecota_center::rules::*;
use quecota_center::store::*;
use quecota_core::wire::frame::{Command, PacketId};
use quecota_core::wire::message::{OtaStatus, Versions};

use OtaStatus::*;

fn key(text: &str) -> DeviceKey {
    DeviceKey::new(text).unwrap()
}

/// The device `d1`, connected, with version 1 reported.
async fn test_device(center: &Center) -> TestDevice<'_> {
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW1", "STM32:1").await, []);
    test_device
}

async fn stored(center: &Center, upgrade: &Upgrade) -> Upgrade {
    center.engine.store().read().await.unwrap().upgrade(upgrade.id).await.unwrap()
}

async fn state(center: &Center, upgrade: &Upgrade) -> VerificationState {
    VerificationState::of(stored(center, upgrade).await.phase())
}

async fn verified(center: &Center, package: PackageId) -> Verified {
    center.engine.store().read().await.unwrap().verified(package).await.unwrap()
}

/// What the next tick has for `d1`.
async fn ticked(center: &Center) -> Vec<Downlink> {
    center.tick().await.into_iter().map(|(_, message)| message).collect()
}

#[tokio::test]
async fn one_device_is_upgraded_outside_any_plan() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let mut test_device = test_device(&center).await;
    assert_eq!(verified(&center, package).await, Verified::Never);
    let verification = center.engine.verify(package, &key("d1")).await.unwrap();
    assert_eq!(verification.deadline, Some(NOON + Millis::minutes(60)));
    assert_eq!(state(&center, &verification).await, VerificationState::Waiting);
    assert_offers(&ticked(&center).await, &["STM32"]);
    test_device.quiet(&[PlanReceived]).await;
    assert_eq!(state(&center, &verification).await, VerificationState::Waiting);
    firmware(&test_device.status(Confirmed).await);
    assert_eq!(state(&center, &verification).await, VerificationState::Running);
    test_device.quiet(&[DownloadStart, Downloading, Downloaded, Updating]).await;
    let versions = Versions { module: "FW1", mcu: "STM32:2" };
    assert_eq!(test_device.status_of("STM32", UpdateSuccess, versions).await, []);
    assert_eq!(state(&center, &verification).await, VerificationState::Passed);
    assert_eq!(verified(&center, package).await, Verified::Passed);
    let log =
        center.engine.store().read().await.unwrap().upgrade_log(verification.id, 1_000).await.unwrap().rows;
    let kinds: Vec<&str> = log.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "decision", "offer", "status", "status", "firmware", "status", "status", "status", "status",
            "status", "version", "success"
        ]
    );
    assert_eq!(center.minutes(70).await, [], "nothing more is to be said about it");
    assert_eq!(state(&center, &verification).await, VerificationState::Passed);
}

#[tokio::test]
async fn a_device_that_is_offline_is_offered_when_it_connects_within_the_hour() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    center.device("d1").await;
    let verification = center.engine.verify(package, &key("d1")).await.unwrap();
    assert_eq!(center.minutes(59).await, []);
    assert_eq!(state(&center, &verification).await, VerificationState::Waiting);
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    test_device.succeeds().await;
    assert_eq!(state(&center, &verification).await, VerificationState::Passed);
}

#[tokio::test]
async fn a_device_that_does_not_tell_its_versions_is_asked_for_them() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let mut test_device = center.connected().await;
    center.engine.verify(package, &key("d1")).await.unwrap();
    let asked = ticked(&center).await;
    assert_eq!(asked, [Downlink::AskVersions]);
    assert_eq!(ticked(&center).await, [], "not at every tick");
    assert_offers(&test_device.info(Command::INFO_ANSWER, "FW1", "STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn after_an_hour_it_has_failed_wherever_it_was() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    center.device("d1").await;
    let never_there = center.engine.verify(package, &key("d1")).await.unwrap();
    center.minutes(60).await;
    assert_eq!(state(&center, &never_there).await, VerificationState::Failed);
    let told = "not finished within 60 minutes; the device was not offered: offline, or busy with a plan";
    assert_eq!(stored(&center, &never_there).await.reason.as_deref(), Some(told));

    let mut test_device = test_device(&center).await;
    let half_way = center.engine.verify(package, &key("d1")).await.unwrap();
    assert_offers(&ticked(&center).await, &["STM32"]);
    firmware(&test_device.status(Confirmed).await);
    for _ in 0..12 {
        test_device.quiet(&[Downloading]).await;
        center.minutes(5).await;
    }
    let ended = stored(&center, &half_way).await;
    assert_eq!(ended.state, UpgradeState::Failed);
    assert_eq!(
        ended.reason.as_deref(),
        Some("not finished within 60 minutes; the device was at downloading")
    );
    assert!(!ended.may_fetch(&no("STM32")), "its URL is of no use any more");
    assert_eq!(verified(&center, package).await, Verified::Failed);
}

#[tokio::test]
async fn a_refusal_and_a_failure_end_it_at_once() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let mut test_device = test_device(&center).await;
    let refused = center.engine.verify(package, &key("d1")).await.unwrap();
    assert_offers(&ticked(&center).await, &["STM32"]);
    test_device.quiet(&[PlanReceived, Refused]).await;
    let refused = stored(&center, &refused).await;
    assert_eq!(VerificationState::of(refused.phase()), VerificationState::Failed);
    assert_eq!(refused.reason.as_deref(), Some("the device refused (status 3)"));

    let failed = center.engine.verify(package, &key("d1")).await.unwrap();
    assert_offers(&ticked(&center).await, &["STM32"]);
    test_device.fails().await;
    let failed = stored(&center, &failed).await;
    assert_eq!(VerificationState::of(failed.phase()), VerificationState::Failed, "one attempt");
    assert_eq!(failed.reason.as_deref(), Some("the device reports a failed upgrade (status 12)"));
    assert_eq!(center.minutes(70).await, []);
}

#[tokio::test]
async fn an_offer_that_nobody_answers_is_made_again_within_the_hour() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let test_device = test_device(&center).await;
    let verification = center.engine.verify(package, &key("d1")).await.unwrap();
    let offers = center.minutes(59).await;
    assert!(offers.iter().all(|(device, _)| *device == test_device.device));
    assert!((5..=6).contains(&offers.len()), "every ten minutes: {}", offers.len());
    center.minutes(1).await;
    let ended = stored(&center, &verification).await;
    assert_eq!(
        ended.reason.as_deref(),
        Some("not finished within 60 minutes; the device was at plan_not_received")
    );
}

#[tokio::test]
async fn a_plan_waits_for_the_verification_and_why_says_so() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let mut test_device = test_device(&center).await;
    center.engine.verify(package, &key("d1")).await.unwrap();
    assert_offers(&ticked(&center).await, &["STM32"]);
    let plan = center.plan(&["SENSOR"], |_| ()).await;
    test_device.report("FW1", "STM32:1;SENSOR:1").await;
    assert_eq!(center.minutes(8).await, [], "the mark at 10:10 brings no plan");
    let (_, reasons) = center.engine.why(&pk(), &key("d1")).await.unwrap();
    assert_eq!(reasons[0].status.condition(), "verification");
    let now = center.clock.now();
    assert_eq!(
        reasons[0].status.told(&"UTC".parse().unwrap(), now),
        "firmware verification 1 of version package 1 has the device, until 11:03 UTC, in 52 min at the latest"
    );
    assert_eq!(center.engine.blocked(plan).await.unwrap().conditions[0].condition, "verification");
    firmware(&test_device.status(Confirmed).await);
    assert_eq!(
        test_device.request("STM32:1;SENSOR:1").await.len(),
        1,
        "a request repeats the verification's offer"
    );
    firmware(&test_device.status(Confirmed).await);
    let versions = Versions { module: "FW1", mcu: "STM32:2;SENSOR:1" };
    assert_eq!(test_device.status_of("STM32", UpdateSuccess, versions).await, []);
    let messages: Vec<_> = center.minutes(10).await.into_iter().map(|(_, message)| message).collect();
    assert_offers(&messages, &["SENSOR"]);
}

#[tokio::test]
async fn a_verification_waits_for_a_plans_upgrade_at_work_and_takes_over_an_unanswered_offer() {
    let center = Center::new().await;
    center.plan(&["SENSOR"], |_| ()).await;
    let package = center.package("STM32", "2", 1).await;
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1;SENSOR:1").await, &["SENSOR"]);
    test_device.status_of("SENSOR", Confirmed, Versions::default()).await;
    let verification = center.engine.verify(package, &key("d1")).await.unwrap();
    assert_eq!(center.minutes(1).await, [], "one upgrade in flight per device");
    let versions = Versions { module: "FW1", mcu: "STM32:1;SENSOR:2" };
    test_device.status_of("SENSOR", UpdateSuccess, versions).await;
    let messages: Vec<_> = center.minutes(1).await.into_iter().map(|(_, message)| message).collect();
    assert_offers(&messages, &["STM32"]);
    test_device.succeeds().await;
    assert_eq!(state(&center, &verification).await, VerificationState::Passed);

    let third = center.package("STM32", "3", 1).await;
    center.saved_and_active("third", third).await;
    assert_eq!(offered(&test_device.request("STM32:2;SENSOR:2").await).len(), 1, "the plan's offer");
    let package = center.package("STM32", "4", 1).await;
    center.engine.verify(package, &key("d1")).await.unwrap();
    assert_eq!(offered(&ticked(&center).await), [("STM32".to_owned(), "4".to_owned())]);
}

#[tokio::test]
async fn a_restart_of_the_center_in_between_changes_nothing() {
    let mut center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    center.device("d1").await;
    let waiting = center.engine.verify(package, &key("d1")).await.unwrap();
    center = center.restarted().await;
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    firmware(&test_device.status(Confirmed).await);
    let device = test_device.device;
    // Away for longer than the hour: the device could not tell, so it gets some minutes more.
    center.clock.advance(Millis::hours(2));
    center = center.restarted().await;
    assert_eq!(ticked(&center).await, []);
    let mut test_device = TestDevice { center: &center, device, packet: PacketId::FIRST, session: None };
    test_device.connect().await;
    test_device.report("FW1", "STM32:2").await;
    assert_eq!(state(&center, &waiting).await, VerificationState::Passed);
}

#[tokio::test]
async fn what_would_prove_nothing_is_refused_or_counts_for_nothing() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let app = center.package("app", "FW9", 1).await;
    let sensor = center.package("SENSOR", "2", 1).await;
    let device = center.device("d1").await;
    let waiting = center.engine.verify(package, &key("d1")).await.unwrap();
    let error = center.engine.verify(app, &key("d1")).await.unwrap_err().to_string();
    assert!(error.contains("firmware verification 1 has this device"), "{error}");
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW9", "STM32:2").await, [], "the device has the target version already");
    assert_eq!(state(&center, &waiting).await, VerificationState::NotRequired);
    assert_eq!(verified(&center, package).await, Verified::Never);
    for (package, words) in [
        (package, "every component has its target version; the package would prove nothing"),
        (app, "every component has its target version"),
        (sensor, "the device reports no version of component SENSOR"),
    ] {
        let error = center.engine.verify(package, &device.key).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = center.engine.verify(package, &key("nobody")).await.unwrap_err().to_string();
    assert!(error.contains("device \"nobody of product p1abcd\" does not exist"), "{error}");
    let error = center.engine.verify(PackageId(99), &key("d1")).await.unwrap_err().to_string();
    assert!(error.contains("version package \"99\" does not exist"), "{error}");
}

#[tokio::test]
async fn a_plan_may_require_that_its_packages_passed_and_the_last_one_decides() {
    let center = Center::new().await;
    let plan = center.saved("careful", &["STM32"], |plan| plan.verification = Verification::Required).await;
    let package = PackageId(1);
    let activated = || center.engine.activate(plan, Supersede::Refuse);
    let error = activated().await.unwrap_err().to_string();
    assert!(error.contains("version package 1 has passed no firmware verification"), "{error}");
    let mut test_device = test_device(&center).await;
    center.engine.verify(package, &key("d1")).await.unwrap();
    ticked(&center).await;
    test_device.succeeds().await;
    test_device.report("FW1", "STM32:1").await;
    center.engine.verify(package, &key("d1")).await.unwrap();
    assert_eq!(verified(&center, package).await, Verified::Passed, "one under way decides nothing");
    ticked(&center).await;
    test_device.fails().await;
    let error = activated().await.unwrap_err().to_string();
    assert!(error.contains("version package 1 failed its last firmware verification"), "{error}");
    center.engine.verify(package, &key("d1")).await.unwrap();
    ticked(&center).await;
    test_device.succeeds().await;
    activated().await.unwrap();
}

#[tokio::test]
async fn a_package_under_verification_is_not_deleted() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    center.device("d1").await;
    let verification = center.engine.verify(package, &key("d1")).await.unwrap();
    let mut writer = center.engine.store().write().await.unwrap();
    let error = writer.delete_package(package).await.unwrap_err().to_string();
    assert!(error.contains("firmware verification 1 uses it"), "{error}");
    drop(writer);
    center.minutes(60).await;
    assert_eq!(stored(&center, &verification).await.components[0].state, ComponentState::Failed);
    let mut writer = center.engine.store().write().await.unwrap();
    writer.delete_package(package).await.unwrap();
}

impl Center {
    /// An active plan that brings `package` to `STM32`.
    async fn saved_and_active(&self, name: &str, package: PackageId) {
        let selected = vec![PlanComponent { component: no("STM32"), package: package.0 }];
        let settings = PlanSettings::new(Title::new(name).unwrap(), pk(), "UTC".parse().unwrap(), selected);
        let plan = self.engine.create_plan(&settings, &[], &[]).await.unwrap().id;
        self.engine.activate(plan, Supersede::Refuse).await.unwrap();
    }
}
