//! What a 10-minute mark, a push at once and the end of a plan cost, and for whom they are.

mod conversation;

use std::collections::BTreeSet;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::engine::Downlink;
use quecota_center::rules::plan::{FirstPush, List, PlanComponent, PlanSettings, PlanState, Supersede};
use quecota_center::rules::progress::UpgradeState;
use quecota_center::rules::window::PushPeriod;
use quecota_center::rules::*;
use quecota_center::store::*;
use quecota_core::wire::message::OtaStatus::*;

/// From [`NOON`] to the next mark.
const TO_MARK: Millis = Millis::seconds(400);

/// Statements that ticks take until nothing more is to be sent, with what they send.
async fn ticks(center: &Center) -> (Vec<(DeviceId, Downlink)>, u64) {
    let before = center.engine.store().statements();
    let mut sent = Vec::new();
    loop {
        let messages = center.tick().await;
        if messages.is_empty() {
            return (sent, center.engine.store().statements() - before);
        }
        sent.extend(messages);
    }
}

/// Devices that are online with this version of STM32.
async fn online(center: &Center, count: usize, version: &str) -> Vec<DeviceId> {
    let mut devices = Vec::new();
    for number in 0..count {
        let mut device = center.test_device(&format!("{version}-{number}")).await;
        device.report("FW1", &format!("STM32:{version}")).await;
        devices.push(device.device);
    }
    devices
}

/// Who is sent an offer, each once.
fn offered_to(sent: &[(DeviceId, Downlink)]) -> BTreeSet<DeviceId> {
    let offers = sent.iter().filter(|(_, message)| matches!(message, Downlink::Offer(_)));
    let devices: Vec<_> = offers.map(|(device, _)| *device).collect();
    let each: BTreeSet<_> = devices.iter().copied().collect();
    assert_eq!(each.len(), devices.len(), "a device is offered a plan twice");
    each
}

#[tokio::test]
async fn a_mark_in_which_nothing_is_due_costs_the_same_for_any_number_of_devices_and_plans() {
    let mut took = Vec::new();
    for (devices, plans) in [(2, 1), (40, 1), (40, 5)] {
        let center = Center::new().await;
        online(&center, devices, "2").await;
        for plan in 0..plans {
            let id = center.saved(&format!("plan {plan}"), &["STM32"], |_| ()).await;
            center.engine.activate(id, Supersede::Agreed).await.unwrap();
        }
        // What the plans bring is read once, and is in memory from then on.
        let mut last = center.test_device("last").await;
        assert_eq!(last.report("FW1", "STM32:2").await, []);
        ticks(&center).await;
        center.clock.advance(TO_MARK);
        let (sent, statements) = ticks(&center).await;
        assert_eq!(sent, []);
        took.push(statements);
    }
    assert!(took.iter().all(|count| *count == took[0]), "{took:?}");
}

#[tokio::test]
async fn a_mark_visits_those_alone_that_a_plan_may_have_something_for() {
    let center = Center::new().await;
    let due = online(&center, 3, "1").await;
    online(&center, 60, "2").await;
    center.plan(&["STM32"], |_| ()).await;
    center.clock.advance(TO_MARK);
    let (mut sent, mut statements) = ticks(&center).await;
    for _ in 0..3 {
        center.clock.advance(Millis::seconds(1));
        let (more, took) = ticks(&center).await;
        sent.extend(more);
        statements += took;
    }
    assert_eq!(offered_to(&sent), due.into_iter().collect());
    assert!(statements < 120, "{statements} statements");
}

#[tokio::test]
async fn an_offer_each_is_written_by_a_few_statements_for_all() {
    let mut took = Vec::new();
    for count in [10, 40] {
        let center = Center::new().await;
        let devices = online(&center, count, "1").await;
        center.plan(&["STM32"], |plan| plan.first_push = FirstPush::AtOnce).await;
        let (sent, statements) = ticks(&center).await;
        assert_eq!(offered_to(&sent), devices.into_iter().collect());
        took.push(statements);
    }
    // One more statement for numbers.
    assert!(took[1] <= took[0] + 2, "{took:?}");
}

#[tokio::test]
async fn a_plan_that_is_pushed_at_once_reaches_every_online_device_before_the_next_mark() {
    let center = Center::new().await;
    let devices = online(&center, 30, "1").await;
    let id = center.saved("plan", &["STM32"], |plan| plan.first_push = FirstPush::AtOnce).await;
    let black: Vec<_> = ["1-3", "1-4"].into_iter().map(|key| DeviceKey::new(key).unwrap()).collect();
    center.engine.replace_list(id, List::Black, &black).await.unwrap();
    center.engine.activate(id, Supersede::Refuse).await.unwrap();
    let (sent, _) = ticks(&center).await;
    let left_out = [devices[3], devices[4]];
    let expected = devices.iter().copied().filter(|device| !left_out.contains(device)).collect();
    assert_eq!(offered_to(&sent), expected);
    // Nobody is offered it again before the offer has lapsed.
    center.clock.advance(Millis::minutes(5));
    assert_eq!(offered_to(&ticks(&center).await.0), BTreeSet::new());
}

#[tokio::test]
async fn a_push_at_once_keeps_to_the_limits_the_push_period_and_the_start() {
    let at_once = |plan: &mut PlanSettings| plan.first_push = FirstPush::AtOnce;
    let center = Center::new().await;
    online(&center, 9, "1").await;
    center
        .plan(&["STM32"], |plan| {
            at_once(plan);
            plan.strategy.max_in_flight = Some(4);
        })
        .await;
    assert_eq!(offered_to(&ticks(&center).await.0).len(), 4);

    // 11:03 in Berlin.
    for (from, until, count) in [("11:00", "12:00", 9), ("12:00", "13:00", 0)] {
        let center = Center::new().await;
        online(&center, 9, "1").await;
        let period = PushPeriod { from: from.parse().unwrap(), until: until.parse().unwrap() };
        center
            .plan(&["STM32"], |plan| {
                at_once(plan);
                plan.push_period = Some(period);
            })
            .await;
        assert_eq!(offered_to(&ticks(&center).await.0).len(), count, "{from}-{until}");
    }

    let center = Center::new().await;
    online(&center, 9, "1").await;
    center
        .plan(&["STM32"], |plan| {
            at_once(plan);
            plan.start = Some(NOON + Millis::minutes(1));
        })
        .await;
    assert_eq!(offered_to(&ticks(&center).await.0).len(), 0);
    center.clock.advance(Millis::minutes(1));
    assert_eq!(offered_to(&ticks(&center).await.0).len(), 9);
}

#[tokio::test]
async fn an_offer_that_became_due_while_its_device_was_away_is_looked_at_when_it_is_back() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    device.fails().await;
    device.disconnect().await;
    let next_offer = async || center.upgrade(plan).await.next_offer.unwrap();
    // The pause after the failure is over for long: what becomes due now is all that ticks look at.
    center.minutes(40).await;
    for _ in 0..3 {
        center.clock.advance(Millis::seconds(1));
        assert_eq!(center.tick().await, []);
        assert!(next_offer().await < center.clock.now(), "nobody looks at it while the device is away");
    }
    device.connect().await;
    center.clock.advance(Millis::seconds(1));
    center.tick().await;
    // The device has not told its versions yet.
    assert!(next_offer().await > center.clock.now());
}

/// A plan of `count` devices, `confirmed` of which have confirmed and wait for another attempt, and `idle` more that were never
/// offered it.
async fn offered_plan(center: &Center, count: i64, confirmed: i64, idle: i64) -> (PlanId, Vec<Upgrade>) {
    let package = center.package("STM32", "2", 1).await;
    let selected = vec![PlanComponent { component: no("STM32"), package: package.0 }];
    let zone = "Europe/Berlin".parse().unwrap();
    let settings = PlanSettings::new(Title::new("large").unwrap(), pk(), zone, selected);
    let plan = center.engine.create_plan(&settings, &[], &[]).await.unwrap().id;
    center.engine.activate(plan, Supersede::Refuse).await.unwrap();
    let secret = DeviceSecret::new("0123456789abcdef").unwrap();
    let key = |number: i64| DeviceKey::new(format!("k{number:06}")).unwrap();
    let mut writer = center.engine.store().write().await.unwrap();
    let devices: Vec<_> = (0..count + idle).map(|number| (key(number), secret.clone())).collect();
    for devices in devices.chunks(1_000) {
        writer.import_devices(&pk(), devices, NOON).await.unwrap();
    }
    let keys: Vec<_> = (0..count).map(key).collect();
    let devices = writer.devices_with_keys(&pk(), &keys).await.unwrap();
    let numbers = writer.next_upgrades(devices.len()).await.unwrap();
    let mut upgrades = Vec::new();
    for ((id, (_, device)), number) in numbers.into_iter().zip(devices).zip(0..) {
        let mut upgrade = Upgrade::new(Some(plan), device, NOON, Vec::new());
        upgrade.id = id;
        if number < confirmed {
            upgrade.confirmed = Some(NOON);
            upgrade.state = UpgradeState::Upgrading;
            upgrade.reason = Some("status 12".into());
            upgrade.next_offer = Some(NOON);
        }
        upgrades.push(upgrade);
    }
    let all: Vec<_> = upgrades.iter().collect();
    for upgrades in all.chunks(1_000) {
        writer.add_upgrades(upgrades).await.unwrap();
    }
    writer.commit().await.unwrap();
    (plan, upgrades)
}

#[tokio::test]
async fn a_plan_of_many_devices_is_over_at_once_and_its_rows_follow() {
    let center = Center::new().await;
    let (plan, upgrades) = offered_plan(&center, 2_500, 700, 6_000).await;
    let before = center.engine.store().statements();
    center.engine.terminate(plan).await.unwrap();
    let took = center.engine.store().statements() - before;
    assert!(took < 40, "{took} statements");
    let mut reader = center.engine.store().read().await.unwrap();
    assert_eq!(reader.plan(plan).await.unwrap().state, PlanState::Terminated);
    assert_eq!(reader.plan_endings(9).await.unwrap(), [plan], "rows are left to be written");
    let upgraded = |figures: quecota_center::rules::progress::Figures| {
        (figures.not_upgraded, figures.upgrading, figures.upgraded)
    };
    let figures = reader.plan_figures(plan).await.unwrap();
    assert_eq!(upgraded(figures), (0, 0, 0));
    assert!(figures.failed >= 2_500);
    for upgrade in [&upgrades[0], &upgrades[1_500], &upgrades[2_499]] {
        let now = reader.upgrade(upgrade.id).await.unwrap();
        assert_eq!((now.state, now.ended), (UpgradeState::Failed, Some(NOON)));
        assert_eq!((now.reason.as_deref(), now.next_offer), (Some("the plan was terminated"), None));
        assert_eq!(reader.open_upgrades(upgrade.device).await.unwrap(), []);
    }
    let reasons = reader.plan_reasons(plan, None, 100).await.unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let filter = UpgradeFilter { state: Some(UpgradeState::Failed), reason: None };
    assert_eq!(
        reader.plan_device_page(plan, &filter, upgrades[1_999].id.0, 1_000).await.unwrap().rows.len(),
        500
    );
    drop(reader);

    // One whose row does not say it yet comes back: it gets nothing of the plan.
    let last = &upgrades[2_499];
    let mut back = TestDevice {
        center: &center,
        device: last.device,
        packet: quecota_core::wire::frame::PacketId::FIRST,
        session: None,
    };
    back.connect().await;
    assert_eq!(back.report("FW1", "STM32:1").await, []);
    assert_eq!(back.request("STM32:1").await, []);
    assert_eq!(back.status(Confirmed).await, []);

    for _ in 0..60 {
        assert_eq!(center.tick().await, []);
    }
    let mut reader = center.engine.store().read().await.unwrap();
    assert_eq!(reader.plan_endings(9).await.unwrap(), []);
    let figures = reader.plan_figures(plan).await.unwrap();
    assert_eq!((upgraded(figures), figures.failed), ((0, 0, 0), 8_500));
    assert_eq!(reader.plan_unreached(plan).await.unwrap(), 6_000);
    let metrics = center.engine.metrics().text(0).unwrap();
    let line = "quecota_upgrades_ended_total{result=\"upgrade_failed\",reason=\"plan_over\"} 2500";
    assert!(metrics.lines().any(|said| said == line), "{metrics}");
}

#[tokio::test]
async fn the_end_of_a_plan_is_written_on_after_a_restart() {
    let center = Center::new().await;
    let (plan, _) = offered_plan(&center, 2_100, 0, 0).await;
    center.engine.terminate(plan).await.unwrap();
    let center = center.restarted().await;
    for _ in 0..20 {
        center.tick().await;
    }
    let mut reader = center.engine.store().read().await.unwrap();
    assert_eq!(reader.plan_endings(9).await.unwrap(), []);
    assert_eq!(reader.plan_figures(plan).await.unwrap().failed, 2_100);
}
