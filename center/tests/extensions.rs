//! What the center and quecota devices say to each other beyond QuecThing, and that vendor devices never hear of it.

mod conversation;

use OtaStatus::*;
use conversation::*;
use quecota_center::devices::codec;
use quecota_center::engine::Downlink;
use quecota_center::rules::progress::UpgradeState;
use quecota_center::rules::*;
use quecota_core::wire::frame::Command;
use quecota_core::wire::message::{
    self, Capabilities, Downloaded, FIRST_ID, OtaStatus, Provision, Reason, StatusEvent, StatusExtension,
    Versions,
};
use quecota_core::wire::ttlv::{List, Writer as Ttlv};

/// 0x0044 of a device with this SDK.
async fn report(test_device: &mut TestDevice<'_>, sdk: &str) -> Vec<Downlink> {
    let mut out = [0; 512];
    let length = Ttlv::new(&mut out).text(2, "FW1").text(3, "STM32:1").text(11, sdk).finish().unwrap();
    test_device.send(Command::INFO_REPORT, &out[..length]).await
}

/// 0x0114 with what quecota adds.
async fn status(
    test_device: &mut TestDevice<'_>,
    status: OtaStatus,
    extension: StatusExtension<'_>,
) -> Vec<Downlink> {
    let event = StatusEvent {
        status,
        kind: message::ComponentKind::Mcu,
        component: "STM32",
        signature: None,
        versions: Versions::default(),
        extension,
    };
    let mut out = [0; 512];
    let length = event.emit(&mut out).unwrap();
    test_device.send(Command::STATUS_EVENT, &out[..length]).await
}

fn at(received: u32) -> StatusExtension<'static> {
    StatusExtension { reason: None, progress: Some(Downloaded { received, size: 1_000_000 }) }
}

const STALLED: StatusExtension<'_> = StatusExtension {
    reason: Some(Reason { number: 9, text: "the download stalled" }),
    progress: Some(Downloaded { received: 300_000, size: 1_000_000 }),
};

#[tokio::test]
async fn a_vendor_device_never_gets_an_id_of_ours() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.strategy.min_rsrp = Some(-100)).await;
    let mut test_device = center.connected().await;
    let mut heard = Vec::new();
    // The device was one of ours once; what is there now is not.
    heard.extend(report(&mut test_device, "quecota/0.1").await);
    assert!(heard.contains(&Downlink::Capabilities));
    heard.clear();
    test_device.disconnect().await;
    test_device.connect().await;
    for sdk in ["2.9.0", "2.10.6", "2.9.0 quecota/0.1", ""] {
        heard.extend(report(&mut test_device, sdk).await);
    }
    let mut out = [0; 64];
    let length = Ttlv::new(&mut out).number(1, 80u8).number(5, -90i64).finish().unwrap();
    heard.extend(test_device.send(Command::STATUS_ANSWER, &out[..length]).await);
    for status in [PlanReceived, Confirmed, DownloadStart, Downloading, DownloadError, UpdateError] {
        heard.extend(test_device.status(status).await);
    }
    heard.extend(test_device.request("STM32:1").await);
    heard.extend(center.minutes(30).await.into_iter().map(|(_, message)| message));
    let sent: Vec<_> = heard.iter().map(|message| codec::encode(message).unwrap()).collect();
    let has = |command| sent.iter().any(|message| message.command == command);
    assert!(has(Command::PLAN_NOTIFY) && has(Command::FIRMWARE_INFO), "{heard:?}");
    for message in &sent {
        // A bare list of ids is no TTLV.
        let Ok(list) = List::parse(&message.bytes) else { continue };
        assert!(list.iter().all(|item| item.id < FIRST_ID), "{message:?}");
    }
}

#[tokio::test]
async fn a_quecota_device_is_told_what_the_center_wants_to_hear_before_anything_else() {
    let center = Center::new().await;
    center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    for _ in 0..2 {
        let messages = report(&mut test_device, "quecota/0.1").await;
        let sent = codec::encode(&messages[0]).unwrap();
        assert_eq!(sent.command, Command::PROVISION);
        let told = Provision::parse(&sent.bytes).unwrap();
        let capabilities = Some(Capabilities::ALL);
        assert_eq!(told, Provision { capabilities, ..Provision::default() });
        assert_offers(&messages[1..], &["STM32"]);
        test_device.disconnect().await;
        test_device.connect().await;
    }
}

#[tokio::test]
async fn why_and_how_far_are_in_the_upgrade_and_its_log() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    report(&mut test_device, "quecota/0.1").await;
    test_device.quiet(&[PlanReceived]).await;
    test_device.status(Confirmed).await;
    test_device.quiet(&[DownloadStart]).await;
    for received in [0, 100_000, 200_000, u32::MAX] {
        assert_eq!(status(&mut test_device, Downloading, at(received)).await, []);
        let fetched = center.upgrade(plan).await.components[0].fetched;
        assert_eq!(fetched, u64::from(received.min(1_000_000)), "never more than there is");
    }
    let log = center.log(plan).await;
    let beats: Vec<_> = log.iter().filter(|entry| entry.value["status"] == 5).collect();
    assert_eq!((beats.len(), beats[0].times), (1, 4), "heartbeats stay one row");
    status(&mut test_device, DownloadError, STALLED).await;
    let upgrade = center.upgrade(plan).await;
    let reason = "the device reports a failed download (status 6): the download stalled (reason 9)";
    assert_eq!(upgrade.reason.as_deref(), Some(reason));
    assert_eq!(upgrade.components[0].reason.as_deref(), Some(reason));
    let log = center.log(plan).await;
    let said = log.iter().find(|entry| entry.value["status"] == 6).unwrap();
    assert_eq!(
        (&said.value["reason"], &said.value["reason_text"]),
        (&9.into(), &"the download stalled".into())
    );
    let failure = log.iter().find(|entry| entry.kind == "failure").unwrap();
    assert_eq!(failure.value["reason"], reason);
    let key = DeviceKey::new("d1").unwrap();
    let (_, why) = center.engine.why(&pk(), &key).await.unwrap();
    assert_eq!(why[0].last_attempt.as_deref(), Some(reason));
}

#[tokio::test]
async fn a_device_that_tries_again_by_itself_is_left_alone_until_it_asks_and_its_plan_counts_nothing() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    report(&mut test_device, "quecota/0.1").await;
    for _ in 0..14 {
        test_device.quiet(&[PlanReceived]).await;
        firmware(&test_device.status(Confirmed).await);
        test_device.quiet(&[DownloadStart]).await;
        status(&mut test_device, DownloadError, STALLED).await;
        let upgrade = center.upgrade(plan).await;
        assert_eq!((upgrade.state, upgrade.components[0].failures), (UpgradeState::Upgrading, 0));
        assert_eq!(center.minutes(20).await, [], "it pauses, and asks by itself");
        assert_offers(&test_device.request("STM32:1").await, &["STM32"]);
    }
    // One that never asks is offered its plan once it can pause no more.
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    status(&mut test_device, DownloadError, STALLED).await;
    assert_eq!(center.minutes(79).await, []);
    assert!(!center.minutes(12).await.is_empty());
    // It has had enough: that is the plan's to count.
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    status(&mut test_device, UpdateError, STALLED).await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Failed);
}

#[tokio::test]
async fn a_device_that_refuses_may_say_why() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    report(&mut test_device, "quecota/0.1").await;
    let reason = Some(Reason { number: 1000, text: "" });
    status(&mut test_device, Refused, StatusExtension { reason, progress: None }).await;
    assert_eq!(center.upgrade(plan).await.reason.as_deref(), Some("the device refused: reason 1000"));
}

#[tokio::test]
async fn the_same_ids_of_a_vendors_device_mean_nothing() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.quiet(&[PlanReceived]).await;
    test_device.status(Confirmed).await;
    status(&mut test_device, DownloadError, STALLED).await;
    let component = center.upgrade(plan).await.components[0].clone();
    assert_eq!(
        (component.fetched, component.reason.as_deref()),
        (0, Some("the device reports a failed download (status 6)"))
    );
}

/// The list as the center sends it is one that our device takes: same frame, same parser, its limits.
#[tokio::test]
async fn a_package_of_five_files_is_sent_as_our_device_takes_it() {
    use quecota_core::limits;
    use quecota_core::ota::package::Package;
    use quecota_core::wire::frame::{Frame, PacketId};
    use quecota_core::wire::message::{Content, FirmwareInfo};

    let center = Center::new().await;
    let package = center.package("app", "2", limits::PACKAGE_FILES).await.0;
    center
        .plan(&["app"], |plan| plan.components.iter_mut().for_each(|selected| selected.package = package))
        .await;
    let mut test_device = center.connected().await;
    report(&mut test_device, "quecota/0.1").await;
    let messages = test_device.status_of("app", Confirmed, Versions::default()).await;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    let mut wire = [0; limits::RECEIVE_BUFFER_MIN];
    let sent = codec::encode(message).unwrap();
    let frame = Frame { packet: PacketId::FIRST, command: sent.command, payload: &sent.bytes };
    let length = frame.emit(&mut wire).expect("it fits the smallest receive buffer");
    let frame = Frame::parse(&mut wire[..length]).unwrap();
    let info = FirmwareInfo::parse(frame.payload).unwrap();
    assert_eq!((info.component, info.target, info.kind), ("app", "2", message::ComponentKind::Module));
    let Content::Files(files) = info.content else { panic!("{info:?}") };
    let mut taken = Package::new();
    assert_eq!(taken.set_files(&files), Ok(5_000_000));
    assert_eq!(files.iter().map(|file| file.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let fourth = taken.file_at(3_000_000).unwrap();
    let announced = taken.announced_at(3_000_000).unwrap();
    assert_eq!((fourth.length, announced.md5), (1_000_000, Some([7; 16])));
    let url = taken.url(3_000_000).unwrap().as_str();
    assert!(url.ends_with("/3"), "{url}");
}
