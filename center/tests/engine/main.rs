//! Whole conversations with the engine, packet by packet, over SQLite in memory and a clock that the test moves.

mod attempts;
#[path = "../conversation/mod.rs"]
mod conversation;
mod ends;
mod limits;
mod selection;

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
    assert_eq!(files.iter().count(), 3);
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
