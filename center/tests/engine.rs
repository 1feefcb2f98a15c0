//! Whole conversations with the engine, packet by packet, over SQLite in memory and a clock that the test moves.

mod conversation;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::devices::codec;
use quecota_center::engine::{Downlink, Population};
use quecota_center::rules::plan::{
    Halt, List, Mode, PlanComponent, PlanSettings, PlanState, Push, Supersede,
};
use quecota_center::rules::progress::{ComponentState, UpgradeState};
use quecota_center::rules::*;
use quecota_core::wire::frame::{Command, Frame, PacketId};
use quecota_core::wire::message::{Content, FirmwareInfo, OtaStatus, Signature, Versions};
use quecota_core::wire::ttlv::Writer as Ttlv;

use OtaStatus::*;

#[tokio::test]
async fn a_device_that_asks_is_upgraded_packet_by_packet() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW1", "STM32:1").await, []);
    let offer = test_device.request("STM32:1").await;
    assert_offers(&offer, &["STM32"]);
    let [Downlink::Offer(components)] = offer.as_slice() else { panic!("{offer:?}") };
    let single = &components[0];
    assert_eq!(
        (single.source.as_deref(), single.kind, single.space),
        (Some("1"), ComponentKind::Mcu, 1_000_000)
    );
    test_device.quiet(&[PlanReceived]).await;
    assert_eq!(center.plan_state(plan).await, PlanState::Activated);
    let (component, url) = firmware(&test_device.status(Confirmed).await);
    assert_eq!(component, "STM32");
    assert!(url.starts_with("http://center.example:8080/f/"));
    assert_eq!(center.plan_state(plan).await, PlanState::Upgrading);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgrading);
    test_device
        .quiet(&[DownloadStart, Downloading, Downloading, Downloaded, DownloadStart, Downloading, Downloaded])
        .await;
    assert!(center.upgrade(plan).await.may_fetch(&no("STM32")));
    test_device.quiet(&[Updating]).await;
    let versions = Versions { module: "FW1", mcu: "STM32:2" };
    assert_eq!(test_device.status_of("STM32", UpdateSuccess, versions).await, []);
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.ended), (UpgradeState::Upgraded, Some(NOON)));
    assert_eq!(upgrade.components[0].state, ComponentState::Succeeded);
    assert!(!upgrade.may_fetch(&no("STM32")));
    let log: Vec<_> = center.log(plan).await.into_iter().map(|entry| (entry.kind, entry.times)).collect();
    let kinds: Vec<&str> = log.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "offer", "status", "status", "decision", "firmware", "status", "status", "status", "status",
            "status", "status", "status", "status", "version", "success"
        ]
    );
    assert_eq!(log[6], ("status".into(), 2), "two heartbeats are one row");
    let figures = center.engine.metrics().text(0).unwrap();
    for line in [
        "quecota_offers_total 1",
        "quecota_statuses_total{status=\"DOWNLOADING\"} 3",
        "quecota_upgrades_ended_total{result=\"upgraded\",reason=\"none\"} 1",
    ] {
        assert!(figures.lines().any(|said| said == line), "{line} is not in\n{figures}");
    }
}

#[tokio::test]
async fn a_device_that_comes_online_is_offered_after_its_version_report() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    assert_eq!(test_device.report("FW1", "STM32:1").await, [], "once per connection");
}

#[tokio::test]
async fn a_device_at_the_target_or_without_the_component_hears_nothing() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW1", "STM32:2").await, []);
    assert_eq!(test_device.request("STM32:2").await, []);
    assert_eq!(test_device.request("OTHER:1").await, []);
    let log = center.engine.store().read().await.unwrap().device_log(test_device.device, 10).await.unwrap();
    let reasons: Vec<_> = log.iter().map(|entry| entry.value["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        ["every component has its target version", "the device reports no version of component STM32"]
    );
}

#[tokio::test]
async fn the_same_packet_three_times_counts_once() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.quiet(&[PlanReceived]).await;
    let payload = status_payload("STM32", Confirmed, None, Versions::default());
    let frame = Frame { packet: test_device.packet, command: Command::STATUS_EVENT, payload: &payload };
    let packet = codec::decode(&frame).unwrap();
    firmware(&center.engine.received(test_device.device, packet.clone()).await.unwrap());
    for _ in 0..2 {
        assert_eq!(center.engine.received(test_device.device, packet.clone()).await.unwrap(), []);
    }
    let log = center.log(plan).await;
    let confirmed = log.iter().filter(|entry| entry.value["status"] == 2);
    assert_eq!(confirmed.map(|entry| entry.times).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_device_that_lost_the_answer_gets_it_on_its_next_connection() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    let first = test_device.status(Confirmed).await;
    test_device.disconnect().await;
    test_device.connect().await;
    test_device.packet = test_device.packet.next();
    assert_eq!(test_device.status(Confirmed).await, first);
}

#[tokio::test]
async fn sha256_is_sent_to_who_asks_for_it() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    let payload = status_payload("STM32", Confirmed, Some(Signature::Sha256), Versions::default());
    let answer = test_device.send(Command::STATUS_EVENT, &payload).await;
    let payload = codec::encode(&answer[0]).unwrap();
    let info = FirmwareInfo::parse(&payload.bytes).unwrap();
    assert!(matches!(info.content, Content::File { sha256: Some(sha256), .. } if sha256 == [9; 32]));
}

#[tokio::test]
async fn a_module_package_of_several_files_goes_as_a_list() {
    let center = Center::new().await;
    let package = center.package("app", "FW2", 3).await.0;
    let selected = vec![PlanComponent { component: no("app"), package }];
    let settings = PlanSettings::new(Title::new("fota").unwrap(), pk(), "UTC".parse().unwrap(), selected);
    let plan = center.engine.create_plan(&settings, &[], &[]).await.unwrap().id;
    center.engine.activate(plan, Supersede::Refuse).await.unwrap();
    let mut test_device = center.connected().await;
    assert_eq!(offered(&test_device.report("FW1", "").await), [("app".to_owned(), "FW2".to_owned())]);
    let answer = test_device.status_of("app", Confirmed, Versions::default()).await;
    let payload = codec::encode(&answer[0]).unwrap();
    let info = FirmwareInfo::parse(&payload.bytes).unwrap();
    let Content::Files(files) = info.content else { panic!("{info:?}") };
    assert_eq!(files.len(), 3);
    for status in [DownloadStart, Downloading, Downloaded, Updating] {
        test_device.status_of("app", status, Versions::default()).await;
    }
    // The module restarts with its new firmware: its version alone proves the success.
    test_device.disconnect().await;
    center.minutes(20).await;
    test_device.connect().await;
    assert_eq!(test_device.report("FW2", "").await, []);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_refused_plan_is_offered_again_after_its_delay() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.refusal_delay = 30).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.quiet(&[PlanReceived, Refused]).await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!(upgrade.components[0].state, ComponentState::Refused);
    assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::NotUpgraded, 0));
    assert_eq!(test_device.request("STM32:1").await, [], "a request does not shorten the delay");
    assert_eq!(center.minutes(29).await, []);
    let again = center.minutes(1).await;
    assert_offers(&[again[0].1.clone()], &["STM32"]);
    assert_eq!(center.plan_state(plan).await, PlanState::Activated);
}

#[tokio::test]
async fn a_failed_upgrade_is_tried_again_until_no_attempt_is_left() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 1).await;
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    firmware(&test_device.status(Confirmed).await);
    let versions = Versions { module: "FW1", mcu: "STM32:1" };
    assert_eq!(test_device.status_of("STM32", UpdateError, versions).await, []);
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::Upgrading, 1));
    assert_eq!(center.tick().await, [], "not at once");
    let again = center.minutes(1).await;
    assert_offers(&[again[0].1.clone()], &["STM32"]);
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    test_device.quiet(&[DownloadStart, DownloadError, DownloadError]).await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::Failed, 2));
    assert_eq!(upgrade.reason.as_deref(), Some("the device reports a failed download (status 6)"));
    assert_eq!(test_device.request("STM32:1").await, []);
    assert_eq!(center.minutes(30).await, []);
}

#[tokio::test]
async fn a_failed_download_that_came_further_does_not_count() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    for (bytes, failures) in [(100_000, 0), (200_000, 0), (200_000, 1)] {
        firmware(&test_device.status(Confirmed).await);
        test_device.quiet(&[DownloadStart, Downloading]).await;
        let id = center.upgrade(plan).await.id;
        let mut writer = center.engine.store().write().await.unwrap();
        writer.raise_fetched(id, &no("STM32"), bytes).await.unwrap();
        writer.commit().await.unwrap();
        test_device.quiet(&[DownloadError]).await;
        assert_eq!(center.upgrade(plan).await.components[0].failures, failures);
        test_device.request("STM32:1").await;
    }
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

#[tokio::test]
async fn a_restart_in_the_middle_goes_on_where_it_was() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadStart, Downloading]).await;
    let device = test_device.device;
    center.clock.advance(Millis::hours(2));
    let center = center.restarted().await;
    assert_eq!(center.tick().await, []);
    let mut test_device = TestDevice { center: &center, device, packet: PacketId::FIRST, session: None };
    test_device.connect().await;
    assert_eq!(
        test_device.report("FW1", "STM32:1").await,
        [],
        "the device is at work: it hears no second offer"
    );
    test_device.quiet(&[Downloading, Downloaded, Updating]).await;
    assert_eq!(test_device.report("FW1", "STM32:2").await, []);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_device_that_upgraded_while_the_center_was_away_can_still_say_so() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[Updating]).await;
    let device = test_device.device;
    center.clock.advance(Millis::hours(2));
    let center = center.restarted().await;
    center.minutes(4).await;
    let mut test_device = TestDevice { center: &center, device, packet: PacketId::FIRST, session: None };
    test_device.connect().await;
    test_device.report("FW1", "STM32:2").await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_success_with_another_version_is_a_failure() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[Updating]).await;
    assert_eq!(
        test_device.report("FW1", "STM32:1").await,
        [],
        "an MCU that starts reports its old version first"
    );
    assert_eq!(center.upgrade(plan).await.components[0].state, ComponentState::Upgrading);
    let versions = Versions { module: "FW1", mcu: "STM32:1" };
    test_device.status_of("STM32", UpdateSuccess, versions).await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!(upgrade.state, UpgradeState::Failed);
    assert!(upgrade.reason.unwrap().contains("another version than the target"));
}

#[tokio::test]
async fn a_success_without_a_version_is_proved_by_asking() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[Updating]).await;
    let asked = test_device.status(UpdateSuccess).await;
    assert_eq!(asked, [Downlink::AskVersions]);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgrading);
    assert_eq!(test_device.info(Command::INFO_ANSWER, "FW1", "STM32:2").await, []);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_third_version_while_upgrading_is_a_failure() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[Updating]).await;
    test_device.report("FW1", "STM32:7").await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

#[tokio::test]
async fn components_go_in_order_after_one_confirmation() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32", "SENSOR"], |_| ()).await;
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1;SENSOR:1").await, &["STM32", "SENSOR"]);
    // The device answers for the last one that it parsed (QUECTHING.md 3.4).
    test_device.status_of("SENSOR", PlanReceived, Versions::default()).await;
    let first = test_device.status_of("SENSOR", Confirmed, Versions::default()).await;
    assert_eq!(firmware(&first).0, "STM32");
    test_device.quiet(&[DownloadStart, Downloading, Downloaded, Updating]).await;
    let second = test_device
        .status_of("STM32", UpdateSuccess, Versions { module: "FW1", mcu: "STM32:2;SENSOR:1" })
        .await;
    assert_eq!(firmware(&second).0, "SENSOR", "SDK 2.9.0 takes the next URL at once");
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgrading);
    for status in [DownloadStart, Downloading, Downloaded, Updating] {
        test_device.status_of("SENSOR", status, Versions::default()).await;
    }
    test_device.report("FW1", "STM32:2;SENSOR:2").await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_request_in_the_middle_is_offered_again_and_an_attempt_with_progress_does_not_count() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadStart, Downloading]).await;
    let id = center.upgrade(plan).await.id;
    let mut writer = center.engine.store().write().await.unwrap();
    writer.raise_fetched(id, &no("STM32"), 100_000).await.unwrap();
    writer.commit().await.unwrap();
    assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    assert_eq!(center.upgrade(plan).await.components[0].state, ComponentState::Downloading);
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    assert_eq!(center.upgrade(plan).await.components[0].failures, 0);
}

#[tokio::test]
async fn a_device_that_falls_silent_fails_by_its_lease() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadStart, Downloading]).await;
    center.minutes(9).await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgrading);
    center.minutes(1).await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!(upgrade.state, UpgradeState::Failed);
    assert_eq!(upgrade.reason.as_deref(), Some("no word from the device in time while it was downloading"),);
}

#[tokio::test]
async fn a_device_that_goes_offline_has_a_day_to_come_back() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadStart, Downloading]).await;
    test_device.disconnect().await;
    center.clock.advance(Millis::hours(23));
    center.tick().await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgrading);
    center.clock.advance(Millis::hours(1));
    center.tick().await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

#[tokio::test]
async fn a_device_that_never_comes_back_for_its_retry_fails() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadError]).await;
    test_device.disconnect().await;
    center.clock.advance(Millis::hours(25));
    center.tick().await;
    let upgrade = center.upgrade(plan).await;
    assert_eq!(upgrade.state, UpgradeState::Failed);
    assert!(upgrade.reason.unwrap().contains("did not come back"));
}

#[tokio::test]
async fn a_plan_is_pushed_at_each_10_minute_mark_until_it_is_answered() {
    let center = Center::new().await;
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW1", "STM32:1").await, []);
    center.plan(&["STM32"], |_| ()).await;
    assert_eq!(center.minutes(6).await, [], "10:09:20");
    let pushed = center.minutes(1).await;
    assert_offers(&[pushed[0].1.clone()], &["STM32"]);
    assert_eq!(center.minutes(9).await, []);
    assert_eq!(center.minutes(1).await.len(), 1);
    test_device.quiet(&[PlanReceived]).await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadStart]).await;
    for _ in 0..3 {
        test_device.status(Downloading).await;
        assert_eq!(center.minutes(9).await, []);
    }
}

#[tokio::test]
async fn a_mark_asks_a_device_for_versions_that_it_has_not_told() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    let asked = center.minutes(7).await;
    assert_eq!(asked, [(test_device.device, Downlink::AskVersions)]);
    assert_offers(&test_device.info(Command::INFO_ANSWER, "FW1", "STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn battery_is_asked_for_when_the_plan_has_a_limit() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.min_battery = Some(30)).await;
    let mut test_device = center.connected().await;
    let asked = test_device.report("FW1", "STM32:1").await;
    assert_eq!(asked, [Downlink::AskStatus]);
    let battery = |percent: u8| {
        let mut out = vec![0; 16];
        let length = Ttlv::new(&mut out).number(1, percent).finish().unwrap();
        out.truncate(length);
        out
    };
    assert_eq!(test_device.send(Command::STATUS_ANSWER, &battery(17)).await, []);
    assert_eq!(test_device.send(Command::STATUS_REPORT, &battery(31)).await, []);
    let offer = test_device.request("STM32:1").await;
    assert_offers(&offer, &["STM32"]);
    assert!(matches!(&offer[0], Downlink::Offer(components) if components[0].min_battery == Some(30)));
    assert!(center.upgrade(plan).await.ended.is_none());
}

#[tokio::test]
async fn why_names_the_battery_that_holds_a_retry() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.min_battery = Some(30)).await;
    let mut test_device = center.connected().await;
    let battery = |percent: u8| {
        let mut out = vec![0; 16];
        let length = Ttlv::new(&mut out).number(1, percent).finish().unwrap();
        out.truncate(length);
        out
    };
    test_device.report("FW1", "STM32:1").await;
    test_device.send(Command::STATUS_ANSWER, &battery(80)).await;
    assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    test_device.fails().await;
    test_device.send(Command::STATUS_REPORT, &battery(17)).await;
    assert_eq!(center.minutes(25).await, [], "not tried again");
    let upgrade = center.upgrade(plan).await;
    assert!(upgrade.confirmed.is_some() && upgrade.ended.is_none(), "{upgrade:?}");
    let (_, reasons) = center.engine.why(&pk(), &DeviceKey::new("d1").unwrap()).await.unwrap();
    let standing = &reasons[0].status;
    assert_eq!(standing.condition(), "battery", "{standing:?}");
    let told = standing.told(&"UTC".parse().unwrap(), NOON);
    assert!(told.contains("17 %") && told.contains("30 %"), "{told}");
}

#[tokio::test]
async fn a_suspended_plan_lets_confirmed_devices_finish_and_retries_nobody() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    center.engine.suspend(plan).await.unwrap();
    firmware(&test_device.status(Confirmed).await);
    test_device.quiet(&[DownloadError]).await;
    assert_eq!(center.minutes(30).await, []);
    assert_eq!(test_device.request("STM32:1").await, []);
    let resumed = center.engine.resume(plan).await.unwrap();
    assert_eq!(resumed.state, PlanState::Upgrading, "a device started meanwhile");
    let again: Vec<_> = center.minutes(10).await.into_iter().map(|(_, message)| message).collect();
    assert_offers(&again, &["STM32"]);
}

#[tokio::test]
async fn terminating_fails_who_has_not_confirmed_and_a_late_confirmation_gets_no_url() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    center.engine.terminate(plan).await.unwrap();
    let upgrade = center.upgrade(plan).await;
    assert_eq!(
        (upgrade.state, upgrade.reason.as_deref()),
        (UpgradeState::Failed, Some("the plan was terminated"))
    );
    assert_eq!(test_device.status(Confirmed).await, []);
    assert_eq!(center.log(plan).await.last().unwrap().kind, "late status");
    assert_eq!(test_device.request("STM32:1").await, []);
}

#[tokio::test]
async fn terminating_lets_who_has_confirmed_finish_without_another_try() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.status(Confirmed).await;
    center.engine.terminate(plan).await.unwrap();
    test_device.quiet(&[DownloadStart, Downloading]).await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgrading);
    test_device.quiet(&[DownloadError]).await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

#[tokio::test]
async fn terminating_counts_as_failed_who_was_never_offered_the_plan() {
    let center = Center::new().await;
    let listed = |keys: &[&str]| keys.iter().map(|key| DeviceKey::new(*key).unwrap()).collect::<Vec<_>>();
    let plan = center.saved("plan", &["STM32"], |_| {}).await;
    let white = listed(&["d1", "done", "away", "new", "black", "stranger"]);
    center.engine.replace_list(plan, List::White, &white).await.unwrap();
    center.engine.replace_list(plan, List::Black, &listed(&["black"])).await.unwrap();
    center.engine.activate(plan, Supersede::Refuse).await.unwrap();

    assert_offers(&center.connected().await.report("FW1", "STM32:1").await, &["STM32"]);
    assert_eq!(center.test_device("done").await.report("FW1", "STM32:2").await, [], "at its target");
    let mut gone = center.test_device("away").await;
    gone.disconnect().await;
    for key in ["new", "black", "unlisted"] {
        center.device(key).await;
    }
    let failed =
        async || center.engine.store().read().await.unwrap().plan_figures(plan).await.unwrap().failed;
    assert_eq!(failed().await, 0);
    center.engine.terminate(plan).await.unwrap();
    assert_eq!(failed().await, 3, "the one that was offered it, one that is away, one that never came");
    let unreached = center.engine.store().read().await.unwrap().plan_unreached(plan).await.unwrap();
    assert_eq!(unreached, 2);

    center.device("stranger").await;
    center.test_device("away").await.report("FW1", "STM32:2").await;
    assert_eq!(failed().await, 3, "what comes later changes nothing");
}

#[tokio::test]
async fn a_delta_that_fits_no_version_of_a_device_does_not_count_it_as_failed() {
    let center = Center::new().await;
    for (key, version) in [("fits", "1"), ("other", "0")] {
        let mut test_device = center.test_device(key).await;
        test_device.report("FW1", &format!("STM32:{version}")).await;
        test_device.disconnect().await;
    }
    let package = center.delta("STM32", "1", "2").await.0;
    let selected = vec![PlanComponent { component: no("STM32"), package }];
    let zone = "Europe/Berlin".parse().unwrap();
    let settings = PlanSettings::new(Title::new("delta").unwrap(), pk(), zone, selected);
    let plan = center.engine.create_plan(&settings, &[], &[]).await.unwrap().id;
    center.engine.activate(plan, Supersede::Refuse).await.unwrap();
    center.engine.terminate(plan).await.unwrap();
    assert_eq!(center.engine.store().read().await.unwrap().plan_unreached(plan).await.unwrap(), 1);
}

#[tokio::test]
async fn a_plan_ends_at_its_end_time() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.end = Some(NOON + Millis::minutes(2))).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    center.minutes(1).await;
    assert_eq!(center.plan_state(plan).await, PlanState::Activated);
    center.minutes(1).await;
    assert_eq!(center.plan_state(plan).await, PlanState::Ended);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::NotUpgraded);
    assert_eq!(test_device.status(Confirmed).await, []);
}

#[tokio::test]
async fn a_plan_for_a_missing_package_is_refused_with_every_reason() {
    let center = Center::new().await;
    let selected = vec![PlanComponent { component: no("STM32"), package: 99 }];
    let mut settings = PlanSettings::new(Title::new("bad").unwrap(), pk(), "UTC".parse().unwrap(), selected);
    settings.end = Some(NOON);
    settings.mode = Mode::Manual;
    let plan = center.engine.create_plan(&settings, &[], &[]).await.unwrap().id;
    let error = center.engine.activate(plan, Supersede::Refuse).await.unwrap_err().to_string();
    for reason in
        ["version package 99 does not exist", "end 2026-03-01T10:03:20Z has passed", "\"zh\"", "\"en\""]
    {
        assert!(error.contains(reason), "{reason}: {error}");
    }
    assert_eq!(center.plan_state(plan).await, PlanState::Saved);
}

#[tokio::test]
async fn a_newer_plan_supersedes_an_older_one() {
    let center = Center::new().await;
    let older = center.plan(&["STM32"], |_| ()).await;
    let newer = center.saved("newer", &["STM32"], |_| ()).await;
    let error = center.engine.activate(newer, Supersede::Refuse).await.unwrap_err().to_string();
    assert!(error.contains(&format!("in plan {} (plan) too", older.0)), "{error}");
    center.engine.activate(newer, Supersede::Agreed).await.unwrap();
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    let store = center.engine.store();
    assert!(store.read().await.unwrap().find_upgrade(newer, test_device.device).await.unwrap().is_some());
    assert!(store.read().await.unwrap().find_upgrade(older, test_device.device).await.unwrap().is_none());
    center.engine.terminate(newer).await.unwrap();
    assert_eq!(
        test_device.request("STM32:1").await,
        [],
        "superseded for good: two plans cannot flip a device"
    );
}

#[tokio::test]
async fn a_success_in_one_plan_is_no_failure_in_another_one() {
    let center = Center::new().await;
    let older = center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW1", "STM32:1").await, []);
    assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    center.minutes(11).await;
    // The offer was not answered; a newer plan brings version 3.
    let three = center.package("STM32", "3", 1).await.0;
    let newer = center.saved("newer", &["STM32"], |plan| plan.components[0].package = three).await;
    center.engine.activate(newer, Supersede::Agreed).await.unwrap();
    assert_eq!(offered(&test_device.request("STM32:1").await), [("STM32".to_owned(), "3".to_owned())]);
    firmware(&test_device.status(Confirmed).await);
    let versions = Versions { module: "FW1", mcu: "STM32:3" };
    assert_eq!(test_device.status_of("STM32", UpdateSuccess, versions).await, []);
    assert_eq!(center.upgrade(newer).await.state, UpgradeState::Upgraded);
    let untouched = center.upgrade(older).await;
    let component = &untouched.components[0];
    assert_eq!((untouched.state, component.failures), (UpgradeState::NotUpgraded, 0), "{untouched:?}");
}

#[tokio::test]
async fn lists_decide_who_is_offered() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await.0;
    let key = |text: &str| DeviceKey::new(text).unwrap();
    let lists: [(&[DeviceKey], &[DeviceKey], usize); 4] = [
        (&[key("d1")], &[], 1),
        (&[key("d2")], &[], 0),
        (&[], &[key("d1")], 0),
        (&[key("d1")], &[key("d1")], 0),
    ];
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    for (index, (white, black, offers)) in lists.into_iter().enumerate() {
        let selected = vec![PlanComponent { component: no("STM32"), package }];
        let name = Title::new(format!("plan {index}")).unwrap();
        let settings = PlanSettings::new(name, pk(), "UTC".parse().unwrap(), selected);
        let plan = center.engine.create_plan(&settings, white, black).await.unwrap().id;
        center.engine.activate(plan, Supersede::Refuse).await.unwrap();
        assert_eq!(test_device.request("STM32:1").await.len(), offers, "case {index}");
        center.engine.terminate(plan).await.unwrap();
    }
}

/// What the explanation says of `d1`, plan by plan.
async fn why(center: &Center) -> Vec<String> {
    let now = center.clock.now();
    let (_, reasons) = center.engine.why(&pk(), &DeviceKey::new("d1").unwrap()).await.unwrap();
    reasons.iter().map(|why| why.status.told(&why.plan.settings.time_zone, now)).collect()
}

#[tokio::test]
async fn the_explanation_names_what_the_engine_is_held_by() {
    let center = Center::new().await;
    center.device("d1").await;
    assert_eq!(why(&center).await, [""; 0], "no plan");
    let plan = center
        .plan(&["STM32"], |plan| {
            plan.time_zone = "Asia/Shanghai".parse().unwrap();
            plan.push_period =
                Some(window::PushPeriod { from: "21:30".parse().unwrap(), until: "22:00".parse().unwrap() });
            plan.strategy.min_battery = Some(30);
        })
        .await;
    assert_eq!(why(&center).await, ["push period opens at 21:30 Asia/Shanghai, in 3 h 27 min"]);
    center.minutes(3 * 60 + 27).await;
    assert_eq!(why(&center).await, ["the device is offline"]);
    let mut test_device = center.connected().await;
    assert_eq!(why(&center).await, ["the device has not reported its versions on this connection"]);
    let asked = test_device.report("FW1", "STM32:1").await;
    assert_eq!(asked, [Downlink::AskStatus]);
    let mut out = [0; 16];
    let length = Ttlv::new(&mut out).number(1, 17i64).finish().unwrap();
    assert_eq!(test_device.send(Command::STATUS_ANSWER, &out[..length]).await, []);
    assert_eq!(why(&center).await, ["battery 17 % < 30 %"]);
    let length = Ttlv::new(&mut out).number(1, 80i64).finish().unwrap();
    test_device.send(Command::STATUS_REPORT, &out[..length]).await;
    assert_eq!(why(&center).await, ["nothing holds it back; offered by 21:40 Asia/Shanghai, in 10 min"]);
    assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    let told = "component STM32 was offered; the device has not answered; it has until";
    assert!(why(&center).await[0].starts_with(told));
    test_device.quiet(&[PlanReceived, Refused]).await;
    assert_eq!(
        why(&center).await,
        ["the device refused; offered again at 23:30 Asia/Shanghai, in 2 h 0 min"]
    );
    center.engine.suspend(plan).await.unwrap();
    assert_eq!(why(&center).await, ["the plan is suspended"]);
}

#[tokio::test]
async fn the_explanation_says_which_plan_comes_first() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let sensor = center.saved("sensor", &["SENSOR"], |_| ()).await;
    center.engine.activate(sensor, Supersede::Refuse).await.unwrap();
    let mut test_device = center.connected().await;
    let offered = why(&center).await;
    assert_eq!(offered[0], "the device has not reported its versions on this connection");
    test_device.report("FW1", "STM32:1;SENSOR:1").await;
    let reasons = why(&center).await;
    assert!(reasons[0].starts_with("component SENSOR was offered"), "{reasons:?}");
    assert_eq!(reasons[1], format!("plan {} comes first on this device", sensor.0));
    test_device.status_of("SENSOR", Confirmed, Versions::default()).await;
    assert!(why(&center).await[1].ends_with("is in flight"));
}

#[tokio::test]
async fn a_plan_counts_its_devices_by_what_holds_them() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:2").await;
    for key in ["d2", "d3"] {
        center.device(key).await;
    }
    let held = center.engine.blocked(plan).await.unwrap();
    assert_eq!((held.devices, held.examined), (3, 3));
    let counts: Vec<_> = held.conditions.iter().map(|held| (held.condition, held.devices)).collect();
    assert_eq!(counts, [("offline", 2), ("at_target", 1)]);

    let mut listed = center.engine.store().read().await.unwrap().plan(plan).await.unwrap().settings;
    listed.name = Title::new("listed").unwrap();
    let keys: Vec<_> = ["d2", "nobody"].map(|key| DeviceKey::new(key).unwrap()).into();
    let listed = center.engine.create_plan(&listed, &keys, &[]).await.unwrap().id;
    center.engine.activate(listed, Supersede::Agreed).await.unwrap();
    let held = center.engine.blocked(listed).await.unwrap();
    assert_eq!((held.population, held.devices), (Population::Whitelist, 2));
    let counts: Vec<_> = held.conditions.iter().map(|held| (held.condition, held.devices)).collect();
    assert_eq!(counts, [("never_connected", 1), ("offline", 1)]);
}

/// What the explanation says of a device in the only plan.
async fn why_not(center: &Center, key: &str) -> String {
    let now = center.clock.now();
    let (_, reasons) = center.engine.why(&pk(), &DeviceKey::new(key).unwrap()).await.unwrap();
    reasons[0].status.told(&reasons[0].plan.settings.time_zone, now)
}

#[tokio::test]
async fn no_more_devices_are_in_flight_than_the_plan_allows() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.max_in_flight = Some(2)).await;
    let mut test_devices = Vec::new();
    for key in ["d1", "d2", "d3", "d4"] {
        test_devices.push(center.test_device(key).await);
    }
    assert_offers(&test_devices[0].report("FW1", "STM32:1").await, &["STM32"]);
    assert_offers(&test_devices[1].report("FW1", "STM32:1").await, &["STM32"]);
    for test_device in &mut test_devices[2..] {
        assert_eq!(test_device.report("FW1", "STM32:1").await, []);
        assert_eq!(test_device.request("STM32:1").await, [], "nor does it get one by asking");
    }
    assert_eq!(why_not(&center, "d3").await, "2 devices are in flight, the plan's limit");
    assert_offers(&test_devices[0].request("STM32:1").await, &["STM32"]);
    test_devices[0].quiet(&[PlanReceived]).await;
    test_devices[1].quiet(&[PlanReceived]).await;
    firmware(&test_devices[1].status(Confirmed).await);
    test_devices[1].quiet(&[DownloadStart]).await;
    // Past the mark the push waits for room, and goes on as soon as there is some.
    assert_eq!(center.minutes(7).await, []);
    test_devices[0].succeeds().await;
    let sent = center.tick().await;
    assert_eq!(sent.len(), 1, "one place, one device");
    assert!(sent[0].0 == test_devices[2].device || sent[0].0 == test_devices[3].device);
    assert_eq!(center.tick().await, []);
    let figures = center.engine.store().read().await.unwrap().plan_figures(plan).await.unwrap();
    assert_eq!((figures.upgraded, figures.upgrading, figures.not_upgraded), (1, 1, 1));
}

#[tokio::test]
async fn a_place_comes_back_when_nobody_answers_or_the_device_refuses() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.strategy.max_in_flight = Some(1)).await;
    let (mut first, mut second) = (center.test_device("d1").await, center.test_device("d2").await);
    assert_offers(&first.report("FW1", "STM32:1").await, &["STM32"]);
    assert_eq!(second.request("STM32:1").await, []);
    first.quiet(&[Refused]).await;
    assert_offers(&second.request("STM32:1").await, &["STM32"]);
    assert_eq!(first.request("STM32:1").await, []);
    // Its offer stays unanswered for ten minutes.
    second.disconnect().await;
    center.minutes(11).await;
    let mut third = center.test_device("d3").await;
    assert_offers(&third.request("STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn no_more_devices_start_in_any_minute_than_the_plan_allows() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.strategy.max_per_minute = Some(3)).await;
    let mut starts = Vec::new();
    for number in 0..10 {
        let mut test_device = center.test_device(&format!("d{number}")).await;
        starts.extend(test_device.report("FW1", "STM32:1").await.iter().map(|_| 0));
    }
    assert_eq!(
        why_not(&center, "d9").await,
        "3 devices started in the last minute, the plan's limit; the next one at 11:04 Europe/Berlin, in 1 min"
    );
    for second in 1..=540 {
        center.clock.advance(Millis::seconds(1));
        starts.extend(center.tick().await.iter().map(|_| second));
    }
    // Who waits for a place needs no mark: it is offered the plan as soon as there is one.
    assert_eq!(starts, [0, 0, 0, 60, 60, 60, 120, 120, 120, 180]);
}

#[tokio::test]
async fn limits_hold_across_a_restart() {
    let center = Center::new().await;
    center
        .plan(&["STM32"], |plan| {
            plan.strategy.max_per_minute = Some(1);
            plan.strategy.max_in_flight = Some(2);
        })
        .await;
    assert_offers(&center.connected().await.report("FW1", "STM32:1").await, &["STM32"]);
    let center = center.restarted().await;
    let mut second = center.test_device("d2").await;
    assert_eq!(second.request("STM32:1").await, []);
    center.clock.advance(Millis(59_999));
    assert_eq!(second.request("STM32:1").await, []);
    center.clock.advance(Millis(1));
    assert_offers(&second.request("STM32:1").await, &["STM32"]);
    center.clock.advance(Millis::minutes(1));
    let center = center.restarted().await;
    let mut third = center.test_device("d3").await;
    assert_eq!(third.request("STM32:1").await, []);
    assert_eq!(why_not(&center, "d3").await, "2 devices are in flight, the plan's limit");
}

#[tokio::test]
async fn the_rest_is_offered_after_the_first_devices_have_finished() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.strategy.first_devices = Some(2)).await;
    let mut test_devices = Vec::new();
    for key in ["d1", "d2", "d3", "d4"] {
        test_devices.push(center.test_device(key).await);
    }
    for test_device in &mut test_devices[..2] {
        assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    }
    assert_eq!(test_devices[2].request("STM32:1").await, []);
    // A device that refuses is none of the first: another one takes its place.
    test_devices[1].quiet(&[Refused]).await;
    assert_offers(&test_devices[2].request("STM32:1").await, &["STM32"]);
    test_devices[0].succeeds().await;
    // A failed attempt that is tried again is not the end of a device.
    test_devices[2].fails().await;
    assert_eq!(test_devices[3].request("STM32:1").await, []);
    assert_eq!(why_not(&center, "d4").await, "the first 2 devices come first; 1 of them have finished");
    assert_offers(&test_devices[2].request("STM32:1").await, &["STM32"]);
    test_devices[2].succeeds().await;
    assert_offers(&test_devices[3].request("STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn a_plan_with_a_bad_firmware_halts_by_itself_after_its_first_devices() {
    let center = Center::new().await;
    let plan = center
        .plan(&["STM32"], |plan| {
            plan.strategy.first_devices = Some(3);
            plan.strategy.halt = Some(Halt { percent: 30, after: 3 });
            plan.strategy.retries = 0;
        })
        .await;
    let mut test_devices = Vec::new();
    for key in ["d1", "d2", "d3", "d4", "d5"] {
        test_devices.push(center.test_device(key).await);
    }
    for test_device in &mut test_devices[..3] {
        assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    }
    test_devices[1].fails().await;
    test_devices[0].succeeds().await;
    assert_eq!(center.plan_state(plan).await, PlanState::Upgrading, "one of two, and three are asked for");
    test_devices[2].succeeds().await;
    assert_eq!(center.plan_state(plan).await, PlanState::Suspended);
    assert_eq!(test_devices[3].request("STM32:1").await, []);
    let halted = "1 of 3 finished devices failed, more than 30 %";
    assert_eq!(why_not(&center, "d4").await, format!("the plan is suspended by itself: {halted}"));
    let shown = center.engine.store().read().await.unwrap().plan(plan).await.unwrap();
    assert_eq!(shown.halted.as_deref(), Some(halted));

    // The operator has looked: what failed before does not stop it again.
    let resumed = center.engine.resume(plan).await.unwrap();
    assert_eq!((resumed.state, resumed.halted), (PlanState::Upgrading, None));
    for test_device in &mut test_devices[3..] {
        assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
        test_device.fails().await;
    }
    assert_eq!(center.plan_state(plan).await, PlanState::Upgrading, "two of the three that it takes anew");
}

#[tokio::test]
async fn a_malformed_packet_is_named_and_changes_nothing() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    let before = center.upgrade(plan).await;
    assert_eq!(test_device.send(Command::STATUS_EVENT, &[0xFF, 0xFF, 0xFF]).await, []);
    assert_eq!(center.upgrade(plan).await, before);
    let entry = center.log(plan).await.pop().unwrap();
    assert_eq!((entry.kind.as_str(), &entry.value["command"]), ("malformed", &"0x0114".into()));
    assert_ne!(entry.value["reason"], "");
}

#[tokio::test]
async fn a_status_that_belongs_to_nothing_is_logged_as_stray() {
    let center = Center::new().await;
    let mut test_device = center.connected().await;
    test_device.quiet(&[Downloading]).await;
    let log = center.engine.store().read().await.unwrap().device_log(test_device.device, 10).await.unwrap();
    assert_eq!((log[0].kind.as_str(), &log[0].value["status"]), ("stray status", &5.into()));
}

#[tokio::test]
async fn many_online_devices_are_spread_and_each_is_offered_once() {
    let center = Center::new().await;
    for index in 0..120 {
        let device = center.device(&format!("d{index}")).await.id;
        let mut test_device = TestDevice { center: &center, device, packet: PacketId::FIRST, session: None };
        test_device.connect().await;
        test_device.report("FW1", "STM32:1").await;
    }
    center.plan(&["STM32"], |_| ()).await;
    // 10:10:00 sharp, then second by second.
    center.clock.advance(Millis::seconds(400));
    let mut each_second = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let messages = center.tick().await;
        each_second.push(messages.len());
        seen.extend(messages.into_iter().map(|(device, _)| device));
        center.clock.advance(Millis::seconds(1));
    }
    assert_eq!(each_second.iter().sum::<usize>(), 120, "{each_second:?}");
    assert_eq!(seen.len(), 120);
    assert!(each_second.iter().filter(|count| **count > 0).count() >= 2, "{each_second:?}");
}

#[tokio::test]
async fn a_stopped_database_is_trouble_of_the_moment() {
    let center = Center::new().await;
    let mut test_device = center.connected().await;
    center.engine.store().close().await;
    let payload = status_payload("STM32", Downloading, None, Versions::default());
    let error = test_device.try_send(Command::STATUS_EVENT, &payload).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
}
