//! What suspending, terminating and the end of a plan do to its upgrades.

use super::*;

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
