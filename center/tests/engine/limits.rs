//! A plan's limits: in flight, per minute, the first devices, the halt.

use super::*;

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
