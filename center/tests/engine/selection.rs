//! Which plan a device gets: supersession, lists, and the explanation of it.

use super::*;

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
