//! Devices that die, lose a message or report what nobody expected: how the center ends such an attempt, and whom it frees.

mod conversation;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::engine::{Chosen, Downlink, Order};
use quecota_center::rules::plan::{Halt, PlanComponent, PlanState, Push, Supersede};
use quecota_center::rules::progress::{ComponentState, UpgradeState};
use quecota_center::rules::*;
use quecota_core::wire::frame::Command;
use quecota_core::wire::message::{OtaStatus, Versions};
use quecota_core::wire::ttlv::Writer as Ttlv;

use OtaStatus::*;

/// The device is without power for a while, and connects again.
async fn reboot(center: &Center, device: &mut TestDevice<'_>) {
    device.disconnect().await;
    center.clock.advance(Millis::seconds(20));
    device.connect().await;
}

/// From the confirmation to status 9.
async fn applies(device: &mut TestDevice<'_>) {
    firmware(&device.status(Confirmed).await);
    device.quiet(&[DownloadStart, Downloading, Downloaded, Updating]).await;
}

/// The device has fetched so many bytes of the image.
async fn fetches(center: &Center, plan: PlanId, bytes: u64) {
    let id = center.upgrade(plan).await.id;
    let mut writer = center.engine.store().write().await.unwrap();
    writer.raise_fetched(id, &no("STM32"), bytes).await.unwrap();
    writer.commit().await.unwrap();
}

async fn lines(center: &Center, plan: PlanId, kind: &str) -> Vec<serde_json::Value> {
    let log = center.log(plan).await;
    log.into_iter().filter(|entry| entry.kind == kind).map(|entry| entry.value).collect()
}

// Row 1.
#[tokio::test]
async fn a_device_that_dies_while_it_applies_fails_halts_the_plan_and_frees_its_place() {
    let center = Center::new().await;
    let plan = center
        .plan(&["STM32"], |plan| {
            plan.strategy.retries = 1;
            plan.strategy.max_in_flight = Some(1);
            plan.strategy.halt = Some(Halt { percent: 50, after: 1 });
            plan.push = Push::OnRequest;
        })
        .await;
    let mut device = center.connected().await;
    assert_offers(&device.request("STM32:1").await, &["STM32"]);
    applies(&mut device).await;
    reboot(&center, &mut device).await;
    assert_offers(&device.request("STM32:1").await, &["STM32"]);
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::NotUpgraded, 1));
    applies(&mut device).await;
    reboot(&center, &mut device).await;
    assert_eq!(device.request("STM32:1").await, []);
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::Failed, 2));
    assert_eq!(upgrade.reason.as_deref(), Some("the device began anew while it was upgrading"));
    assert_eq!(center.plan_state(plan).await, PlanState::Suspended, "one of one device has failed");
    center.engine.resume(plan).await.unwrap();
    let mut healthy = center.test_device("d2").await;
    assert_offers(&healthy.request("STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn a_device_that_dies_before_it_applies_counts_when_it_came_no_further() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    for bytes in [100_000, 200_000] {
        firmware(&device.status(Confirmed).await);
        device.quiet(&[DownloadStart, Downloading]).await;
        fetches(&center, plan, bytes).await;
        reboot(&center, &mut device).await;
        assert_offers(&device.request("STM32:1").await, &["STM32"]);
        device.quiet(&[PlanReceived]).await;
        assert_eq!(center.upgrade(plan).await.components[0].failures, 0, "it came further");
    }
    firmware(&device.status(Confirmed).await);
    device.quiet(&[DownloadStart, Downloading]).await;
    reboot(&center, &mut device).await;
    assert_offers(&device.request("STM32:1").await, &["STM32"]);
    device.quiet(&[PlanReceived]).await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::Failed, 1));
    assert_eq!(device.request("STM32:1").await, []);
}

#[tokio::test]
async fn nothing_is_offered_again_by_a_plan_that_is_suspended_over_or_superseded() {
    for (case, free) in ["suspended", "terminated", "superseded"].into_iter().zip([false, false, true]) {
        let center = Center::new().await;
        let plan = center.plan(&["STM32"], |_| ()).await;
        let mut device = center.connected().await;
        device.report("FW1", "STM32:1").await;
        firmware(&device.status(Confirmed).await);
        device.quiet(&[DownloadStart, Downloading]).await;
        match case {
            "suspended" => drop(center.engine.suspend(plan).await.unwrap()),
            "terminated" => drop(center.engine.terminate(plan).await.unwrap()),
            _ => {
                let newer = center.saved("mended", &["STM32"], |_| ()).await;
                center.engine.activate(newer, Supersede::Agreed).await.unwrap();
            }
        }
        reboot(&center, &mut device).await;
        let heard = device.request("STM32:1").await;
        let upgrade = center.upgrade(plan).await;
        assert!(!upgrade.is_outstanding(), "{case}: {upgrade:?}");
        let reason = upgrade.reason.unwrap();
        assert!(reason.starts_with("the device began anew while it was downloading: "), "{case}: {reason}");
        assert!(reason.contains(case), "{case}: {reason}");
        if free {
            assert_offers(&heard, &["STM32"]);
        } else {
            assert_eq!(heard, [], "{case}");
            let other = center.saved("other", &["STM32"], |_| ()).await;
            center.engine.activate(other, Supersede::Agreed).await.unwrap();
            assert_offers(&device.request("STM32:1").await, &["STM32"]);
        }
    }
}

#[tokio::test]
async fn a_verification_ends_when_its_device_dies_while_it_applies() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    let key = DeviceKey::new("d1").unwrap();
    let verification = center.engine.verify(package, &key).await.unwrap().id;
    assert_eq!(center.tick().await.len(), 1);
    applies(&mut device).await;
    reboot(&center, &mut device).await;
    assert_eq!(device.request("STM32:1").await, []);
    let upgrade = center.engine.store().read().await.unwrap().upgrade(verification).await.unwrap();
    assert_eq!(upgrade.state, UpgradeState::Failed);
}

// Row 39.
#[tokio::test]
async fn a_lost_status_11_is_made_up_for_by_the_target_version() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    applies(&mut device).await;
    fetches(&center, plan, 1_000_000).await;
    let again = center.minutes(40).await;
    assert!(!again.is_empty(), "offered again after the lease");
    assert_eq!(center.upgrade(plan).await.components[0].state, ComponentState::PlanNotReceived);
    assert_eq!(device.report("FW1", "STM32:2").await, []);
    let upgrade = center.upgrade(plan).await;
    assert_eq!(
        (upgrade.state, upgrade.components[0].state),
        (UpgradeState::Upgraded, ComponentState::Succeeded)
    );
    assert_eq!(lines(&center, plan, "success").await[0]["evidence"], "target version reported");
}

// Row 37.
#[tokio::test]
async fn a_power_cut_of_a_vendor_device_with_an_mcu_does_not_count_when_it_came_further() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    let versions = Versions { module: "FW1", mcu: "STM32:1" };
    for (bytes, failures) in [(100_000, 0), (200_000, 0), (300_000, 0), (300_000, 1)] {
        firmware(&device.status(Confirmed).await);
        device.quiet(&[DownloadStart, Downloading]).await;
        fetches(&center, plan, bytes).await;
        reboot(&center, &mut device).await;
        assert_eq!(device.status_of("STM32", UpdateError, versions).await, []);
        assert_eq!(center.upgrade(plan).await.components[0].failures, failures, "{bytes}");
        device.request("STM32:1").await;
    }
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

#[tokio::test]
async fn a_failure_without_a_power_cut_counts_however_far_the_download_came() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    firmware(&device.status(Confirmed).await);
    device.quiet(&[DownloadStart, Downloading, Downloaded]).await;
    fetches(&center, plan, 1_000_000).await;
    center.clock.advance(Millis::seconds(20));
    device.quiet(&[UpdateError]).await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

fn readings(id: u16, value: i64) -> Vec<u8> {
    let mut out = vec![0; 16];
    let length = Ttlv::new(&mut out).number(id, value).finish().unwrap();
    out.truncate(length);
    out
}

// Row 35.
#[tokio::test]
async fn a_device_that_never_answers_about_its_signal_is_offered_the_plan_with_its_limit() {
    let limited = async || {
        let center = Center::new().await;
        center.plan(&["STM32"], |plan| plan.strategy.min_rsrp = Some(-110)).await;
        center
    };
    let center = limited().await;
    let mut device = center.connected().await;
    assert_eq!(device.report("FW1", "STM32:1").await, [Downlink::AskStatus]);
    center.clock.advance(Millis::seconds(4));
    assert_eq!(center.tick().await, []);
    center.clock.advance(Millis::seconds(1));
    let sent = center.tick().await;
    let [(_, Downlink::Offer(components))] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(components[0].min_rsrp, Some(-110));

    let center = limited().await;
    let mut device = center.connected().await;
    assert_offers(&device.request("STM32:1").await, &["STM32"]);

    let center = limited().await;
    let mut device = center.connected().await;
    assert_eq!(device.report("FW1", "STM32:1").await, [Downlink::AskStatus]);
    assert_offers(&device.send(Command::STATUS_REPORT, &readings(5, -100)).await, &["STM32"]);

    let center = limited().await;
    let mut device = center.connected().await;
    assert_eq!(device.report("FW1", "STM32:1").await, [Downlink::AskStatus]);
    assert_eq!(device.send(Command::STATUS_REPORT, &readings(5, -120)).await, [], "too weak");
    assert_eq!(center.minutes(1).await, []);
}

// Row 38.
#[tokio::test]
async fn the_second_of_two_devices_is_offered_the_plan_as_soon_as_there_is_a_place() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.strategy.max_in_flight = Some(1)).await;
    let (mut first, mut second) = (center.test_device("d1").await, center.test_device("d2").await);
    assert_offers(&first.report("FW1", "STM32:1").await, &["STM32"]);
    assert_eq!(second.report("FW1", "STM32:1").await, []);
    assert_eq!(center.tick().await, [], "no place yet");
    first.succeeds().await;
    center.clock.advance(Millis::seconds(1));
    let sent = center.tick().await;
    assert_eq!(sent.iter().map(|(device, _)| *device).collect::<Vec<_>>(), [second.device]);
    assert_offers(&[sent[0].1.clone()], &["STM32"]);
}

// Row 5.
#[tokio::test]
async fn firmware_that_does_not_last_counts_as_a_failure_and_can_be_tried_again() {
    let center = Center::new().await;
    let halt = Some(Halt { percent: 50, after: 1 });
    let plan = center.plan(&["STM32"], |plan| plan.strategy.halt = halt).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    device.succeeds().await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
    reboot(&center, &mut device).await;
    device.report("FW1", "STM32:1").await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!(upgrade.state, UpgradeState::Failed);
    assert_eq!(upgrade.reason.as_deref(), Some("reported 1 after success"));
    assert_eq!(lines(&center, plan, "failure").await[0]["reason"], "reported 1 after success");
    let figures = center.engine.metrics().text(0).unwrap();
    assert!(figures.lines().any(|line| line.contains("\"reverted\"") && line.ends_with(" 1")), "{figures}");
    assert_eq!(center.plan_state(plan).await, PlanState::Suspended);
    center.engine.resume(plan).await.unwrap();
    let chosen = Chosen::Keys(vec![DeviceKey::new("d1").unwrap()]);
    assert_eq!(center.engine.order(plan, chosen, &Order::Retry).await.unwrap().done, 1);
    assert_offers(&[center.tick().await[0].1.clone()], &["STM32"]);
}

#[tokio::test]
async fn a_later_upgrade_to_an_older_version_is_no_failure_of_the_one_before() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    device.succeeds().await;
    let back = center.package("STM32", "1", 1).await.0;
    let down = center
        .saved("down", &["STM32"], |plan| {
            plan.components[0] = PlanComponent { component: no("STM32"), package: back }
        })
        .await;
    center.engine.activate(down, Supersede::Agreed).await.unwrap();
    assert_eq!(device.request("STM32:2").await.len(), 1);
    firmware(&device.status(Confirmed).await);
    let versions = Versions { module: "FW1", mcu: "STM32:1" };
    assert_eq!(device.status_of("STM32", UpdateSuccess, versions).await, []);
    assert_eq!(center.upgrade(down).await.state, UpgradeState::Upgraded);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

// Row 27.
#[tokio::test]
async fn a_field_of_another_type_costs_itself_only_and_is_named_once() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    let mut out = [0; 256];
    let length = Ttlv::new(&mut out).text(2, "FW1").text(3, "STM32:1").number(12, 7u32).finish().unwrap();
    assert_offers(&device.send(Command::INFO_REPORT, &out[..length]).await, &["STM32"]);
    assert_eq!(device.send(Command::INFO_REPORT, &out[..length]).await, []);
    let mut store = center.engine.store().read().await.unwrap();
    let log = store.device_log(device.device, 20).await.unwrap();
    let found = store.device_by_id(device.device).await.unwrap();
    drop(store);
    let ignored: Vec<_> = log.iter().filter(|entry| entry.kind == "ignored field").collect();
    assert_eq!((ignored.len(), ignored[0].times), (1, 1));
    let told = center.engine.not_understood(&found).await.unwrap().unwrap();
    assert!(told.contains("(id 12)") && told.ends_with("must be a text"), "{told}");
}

// Row 36.
#[tokio::test]
async fn module_firmware_is_judged_with_and_without_the_suffix_of_its_application() {
    for (first_the_report, target) in [(true, "2"), (false, "2"), (true, "2_A1"), (false, "2_A1")] {
        let center = Center::new().await;
        let package = center.package("app", target, 1).await.0;
        let choose = |settings: &mut quecota_center::rules::plan::PlanSettings| {
            settings.strategy.retries = 0;
            settings.components = vec![PlanComponent { component: no("app"), package }];
        };
        // An earlier request, in another form than its report.
        let mut device = center.test_device("d1").await;
        device.request("").await;
        let plan = center.plan(&["app"], choose).await;
        reboot(&center, &mut device).await;
        let offer = device.report("FW1_A1", "").await;
        assert_eq!(offered(&offer), [("app".to_owned(), target.to_owned())]);
        firmware(&device.status_of("app", Confirmed, Versions::default()).await);
        for status in [DownloadStart, Downloading, Downloaded, Updating] {
            device.status_of("app", status, Versions::default()).await;
        }
        reboot(&center, &mut device).await;
        if first_the_report {
            device.report("2_A1", "").await;
        }
        device.status_of("app", UpdateSuccess, Versions { module: "2", mcu: "" }).await;
        if !first_the_report {
            device.report("2_A1", "").await;
        }
        let upgrade = center.upgrade(plan).await;
        assert_eq!(upgrade.state, UpgradeState::Upgraded, "{target} {first_the_report}: {upgrade:?}");

        // At its next connect it is at the target, in whichever form it tells it.
        reboot(&center, &mut device).await;
        assert_eq!(device.report("2_A1", "").await, []);
        let versions = Versions { module: "2", mcu: "" };
        device.status_of("app", NoPlan, versions).await;
        assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
        let shown = center.engine.store().read().await.unwrap().device_by_id(device.device).await.unwrap();
        assert_eq!(shown.module.shown.as_deref(), Some("2_A1"));
        assert_eq!(shown.module.firmware.as_deref(), Some("2"));
    }
}
