//! Attempts: failures, restarts, versions that do not fit, leases.

use super::*;

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
