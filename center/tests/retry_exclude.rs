//! What an operator orders for single devices of a plan, and what a plan would do: the engine, packet by packet.

mod conversation;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::engine::{Chosen, DryRun, Order, Ordered, UserCommand};
use quecota_center::rules::plan::{Halt, Mode, PlanSettings, PlanState, Push, Supersede};
use quecota_center::rules::progress::UpgradeState;
use quecota_center::rules::window::Zone;
use quecota_center::rules::*;
use quecota_center::store::ReportedVersion;
use quecota_core::wire::message::{OtaStatus, Versions};

use OtaStatus::*;

fn key(text: &str) -> DeviceKey {
    DeviceKey::new(text).unwrap()
}

/// An active plan in which `d1` has failed for good.
async fn failed(center: &Center) -> (PlanId, TestDevice<'_>) {
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 0).await;
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    test_device.fails().await;
    assert!(center.upgrade(plan).await.ended.is_some());
    (plan, test_device)
}

async fn order(center: &Center, plan: PlanId, keys: &[&str], order: Order) -> Ordered {
    let keys = Chosen::Keys(keys.iter().map(|text| key(text)).collect());
    center.engine.order(plan, keys, &order).await.unwrap()
}

async fn retry(center: &Center, plan: PlanId, keys: &[&str]) -> Ordered {
    order(center, plan, keys, Order::Retry).await
}

async fn skip(center: &Center, plan: PlanId, keys: &[&str]) -> Ordered {
    order(center, plan, keys, Order::Skip { reason: "in repair".into() }).await
}

/// The one reason why nothing was done.
#[track_caller]
fn left(ordered: &Ordered) -> &str {
    assert_eq!((ordered.done, ordered.not_done.len()), (0, 1), "{ordered:?}");
    &ordered.not_done[0].reason
}

fn all_failed() -> Chosen {
    Chosen::Filter { state: UpgradeState::Failed, reason: None, after: 0 }
}

#[tokio::test]
async fn a_failed_device_that_is_online_is_tried_again_at_once() {
    let center = Center::new().await;
    let (plan, mut test_device) = failed(&center).await;
    assert_eq!(center.minutes(20).await, [], "final by itself");
    assert_eq!(retry(&center, plan, &["d1"]).await.done, 1);
    let messages: Vec<_> = center.tick().await.into_iter().map(|(_, message)| message).collect();
    assert_offers(&messages, &["STM32"]);
    test_device.succeeds().await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
    let log = center.log(plan).await;
    assert!(log.iter().any(|entry| entry.value["text"] == "the operator tries it again"), "{log:?}");
}

#[tokio::test]
async fn a_failed_device_that_is_offline_is_tried_again_at_its_next_connect() {
    let center = Center::new().await;
    let (plan, mut test_device) = failed(&center).await;
    test_device.disconnect().await;
    assert_eq!(retry(&center, plan, &["d1"]).await.done, 1);
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::NotUpgraded);
    center.clock.advance(Millis::hours(72));
    assert_eq!(center.tick().await, []);
    test_device.connect().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    test_device.succeeds().await;
    assert_eq!(center.upgrade(plan).await.state, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_device_that_waits_for_its_own_retry_is_tried_at_once_with_all_attempts() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.strategy.retries = 1).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.fails().await;
    assert_eq!(center.tick().await, [], "it pauses");
    assert_eq!(retry(&center, plan, &["d1"]).await.done, 1);
    assert_eq!(center.tick().await.len(), 1);
    test_device.fails().await;
    assert_eq!(center.upgrade(plan).await.ended, None, "one retry is left again");
}

#[tokio::test]
async fn who_is_not_tried_again_is_named_with_the_reason() {
    let center = Center::new().await;
    let (plan, mut test_device) = failed(&center).await;
    center.device("d2").await;
    assert_eq!(left(&retry(&center, plan, &["d2"]).await), "the plan was not offered to it yet");
    assert_eq!(left(&retry(&center, plan, &["nobody"]).await), "the product has no such device");
    test_device.report("FW1", "STM32:2").await;
    let held = retry(&center, plan, &["d1"]).await;
    assert_eq!(left(&held), "every component has its target version");
    test_device.report("FW1", "STM32:1").await;
    let both = retry(&center, plan, &["d1", "d2"]).await;
    assert_eq!((both.done, both.not_done[0].device.as_str()), (1, "d2"));
    assert_eq!(center.tick().await.len(), 1);
    let offered = "it is offered or has refused; only a device that failed or was left out is tried again";
    assert_eq!(left(&retry(&center, plan, &["d1"]).await), offered);
    firmware(&test_device.status(Confirmed).await);
    assert!(left(&retry(&center, plan, &["d1"]).await).starts_with("it is at work"));
    assert_eq!(
        left(&skip(&center, plan, &["d1"]).await),
        "it has confirmed and is at work; it cannot be called back"
    );
    let versions = Versions { module: "FW1", mcu: "STM32:2" };
    test_device.status_of("STM32", UpdateSuccess, versions).await;
    assert!(left(&retry(&center, plan, &["d1"]).await).starts_with("it is upgraded"));
    assert_eq!(left(&skip(&center, plan, &["d1"]).await), "it is upgraded already");
    center.engine.terminate(plan).await.unwrap();
    let keys = Chosen::Keys(vec![key("d1")]);
    let error = center.engine.order(plan, keys, &Order::Retry).await.unwrap_err().to_string();
    assert!(error.contains("the plan is terminated; only in an active one"), "{error}");
}

#[tokio::test]
async fn a_device_that_is_left_out_is_never_offered_until_it_is_tried_again() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut test_device = center.connected().await;
    center.device("d2").await;
    assert_eq!(skip(&center, plan, &["d1", "d2"]).await.done, 2, "before any offer");
    assert_eq!(test_device.report("FW1", "STM32:1").await, []);
    assert_eq!(test_device.request("STM32:1").await, []);
    let upgrade = center.upgrade(plan).await;
    assert_eq!(upgrade.state, UpgradeState::NotUpgraded);
    assert_eq!(upgrade.reason.as_deref(), Some("left out by the operator: in repair"));
    let (_, reasons) = center.engine.why(&pk(), &key("d1")).await.unwrap();
    let told = reasons[0].status.told(&Zone::utc(), NOON);
    assert!(told.contains("left out by the operator: in repair"), "{told}");
    assert_eq!(left(&skip(&center, plan, &["d1"]).await), "it is not_upgraded already");
    assert_eq!(retry(&center, plan, &["d1"]).await.done, 1);
    assert_eq!(center.tick().await.len(), 1);
    test_device.quiet(&[PlanReceived]).await;
    assert_eq!(skip(&center, plan, &["d1"]).await.done, 1, "offered, and not confirmed");
    assert_eq!(test_device.status(Confirmed).await, [], "a late confirmation gets no URL");
}

#[tokio::test]
async fn a_failed_device_that_is_left_out_does_not_count_as_failed() {
    let center = Center::new().await;
    let (plan, _phone) = failed(&center).await;
    assert_eq!(skip(&center, plan, &["d1"]).await.done, 1);
    let figures = center.engine.store().read().await.unwrap().plan_figures(plan).await.unwrap();
    assert_eq!((figures.failed, figures.not_upgraded), (0, 1));
    assert_eq!(figures.success_rate(), None);
}

#[tokio::test]
async fn every_end_is_counted_once_and_only_when_it_is_committed() {
    let center = Center::new().await;
    let ended = || -> Vec<String> {
        let text = center.engine.metrics().text(0).unwrap();
        let counts = text.lines().filter_map(|line| line.strip_prefix("quecota_upgrades_ended_total"));
        counts.map(str::to_owned).collect()
    };
    let count = |line: &str| ended().iter().any(|said| said == line);
    let (plan, _phone) = failed(&center).await;
    assert_eq!(ended(), [r#"{result="upgrade_failed",reason="device"} 1"#]);
    center.device("d2").await;
    assert_eq!(skip(&center, plan, &["d2"]).await.done, 1);
    assert!(count(r#"{result="not_upgraded",reason="left_out"} 1"#), "{:?}", ended());
    assert_eq!(skip(&center, plan, &["d1"]).await.done, 1);
    assert_eq!(ended().len(), 2, "it had ended before: {:?}", ended());
    assert_offers(&center.test_device("d3").await.report("FW1", "STM32:1").await, &["STM32"]);
    let mut writer = center.engine.store().write().await.unwrap();
    let mut ending = quecota_center::store::PlanEnding {
        plan,
        state: UpgradeState::Failed,
        reason: "never committed".into(),
        at: NOON,
        written_to: Some(quecota_center::rules::UpgradeId(0)),
        counted_to: quecota_center::rules::DeviceId(0),
        count_until: quecota_center::rules::DeviceId(0),
    };
    assert_eq!(writer.write_ends(&mut ending, 10).await.unwrap(), (1, 0));
    drop(writer);
    assert_eq!(ended().len(), 2, "{:?}", ended());
    center.engine.terminate(plan).await.unwrap();
    assert!(count(r#"{result="upgrade_failed",reason="plan_over"} 1"#), "{:?}", ended());

    let manual = |plan: &mut PlanSettings| {
        plan.mode = Mode::Manual;
        plan.texts = [("zh", "新版本"), ("en", "Better")].map(|(tag, text)| (tag.into(), text.into())).into();
    };
    let asks = center.saved("asks", &["STM32"], manual).await;
    center.engine.activate(asks, Supersede::Refuse).await.unwrap();
    assert_eq!(center.test_device("d4").await.report("FW1", "STM32:1").await, []);
    center.engine.apply_user_command(&pk(), &key("d4"), Some(asks), UserCommand::Cancel).await.unwrap();
    assert!(count(r#"{result="upgrade_failed",reason="cancelled"} 1"#), "{:?}", ended());

    let package = center.package("SENSOR", "2", 1).await;
    center.device("d5").await;
    center.engine.verify(package, &key("d5")).await.unwrap();
    center.minutes(61).await;
    assert!(count(r#"{result="upgrade_failed",reason="verification"} 1"#), "{:?}", ended());
}

#[tokio::test]
async fn all_failed_devices_are_tried_again_by_a_filter() {
    let center = Center::new().await;
    let plan = center
        .plan(&["STM32"], |plan| {
            plan.strategy.retries = 0;
            plan.strategy.halt = Some(Halt { percent: 50, after: 3 });
        })
        .await;
    for name in ["d1", "d2", "d3"] {
        let mut test_device = center.test_device(name).await;
        test_device.report("FW1", "STM32:1").await;
        if name == "d2" { test_device.succeeds().await } else { test_device.fails().await }
    }
    assert_eq!(center.plan_state(plan).await, PlanState::Suspended, "2 of 3 failed");
    let other = Chosen::Filter { state: UpgradeState::Failed, reason: Some("no such".into()), after: 0 };
    assert_eq!(center.engine.order(plan, other, &Order::Retry).await.unwrap().done, 0);
    let status_12 =
        Chosen::Filter { state: UpgradeState::Failed, reason: Some("status 12".into()), after: 0 };
    let ordered = center.engine.order(plan, status_12, &Order::Retry).await.unwrap();
    assert_eq!((ordered.done, ordered.next), (2, None));
    assert_eq!(center.tick().await, [], "the plan is suspended");
    center.engine.resume(plan).await.unwrap();
    assert_eq!(center.minutes(10).await.len(), 2, "with the next mark");
    assert_eq!(center.engine.order(plan, all_failed(), &Order::Retry).await.unwrap().done, 0);
}

async fn outcomes(center: &Center, plan: PlanId) -> (DryRun, Vec<(String, &'static str, i64)>) {
    let run = center.engine.dry_run(plan).await.unwrap();
    let mut rows: Vec<_> =
        run.outcomes.iter().map(|row| (row.outcome.to_string(), row.condition, row.devices)).collect();
    rows.sort();
    (run, rows)
}

fn row(outcome: &str, condition: &'static str, devices: i64) -> (String, &'static str, i64) {
    (outcome.to_owned(), condition, devices)
}

#[tokio::test]
async fn a_dry_run_says_what_activating_would_do_and_changes_nothing() {
    let center = Center::new().await;
    let older = center.plan(&["SENSOR"], |plan| plan.push = Push::OnRequest).await;
    for (name, version) in [("d1", "STM32:1"), ("d2", "STM32:2"), ("d3", "STM32:1"), ("d4", "OTHER:1")] {
        center.test_device(name).await.report("FW1", version).await;
    }
    let mut gone = center.test_device("d5").await;
    gone.report("FW1", "STM32:1").await;
    gone.disconnect().await;
    let mut later = center.test_device("d6").await;
    later.report("FW1", "STM32:3").await;
    let plan = center.saved("new", &["STM32", "SENSOR"], |plan| plan.strategy.max_in_flight = Some(2)).await;
    let mut writer = center.engine.store().write().await.unwrap();
    writer.list_devices(plan, plan::List::Black, &[key("d3")]).await.unwrap();
    writer.commit().await.unwrap();
    let (run, rows) = outcomes(&center, plan).await;
    assert_eq!(run.refused, [""; 0]);
    assert_eq!(run.supersedes, [format!("plan {} (plan), for component SENSOR", older.0)]);
    assert_eq!((run.devices, run.examined), (6, 6));
    assert_eq!(
        rows,
        [
            row("excluded", "blacklisted", 1),
            row("held", "component_unknown", 2),
            row("offered_now", "due", 2),
            row("offered_when_online", "offline", 1),
        ]
    );
    assert_eq!(
        run.downgrades,
        [
            "component STM32: 1 devices report a later version than 2 (for example d6: 3); the full package takes them back"
        ]
    );
    assert_eq!(center.plan_state(plan).await, PlanState::Saved);
    assert_eq!(center.minutes(10).await, [], "nobody was offered anything");

    let mut writer = center.engine.store().write().await.unwrap();
    let mut settings = writer.plan(plan).await.unwrap().settings;
    settings.strategy.max_in_flight = Some(1);
    settings.components.truncate(1);
    settings.end = Some(NOON);
    writer.edit_plan(plan, &settings).await.unwrap();
    writer.commit().await.unwrap();
    let (run, rows) = outcomes(&center, plan).await;
    assert!(run.refused[0].contains("has passed; set a later one"), "{:?}", run.refused);
    assert_eq!(rows[1], row("held", "after_end", 4), "whoever is to be upgraded; {rows:?}");
    settings.end = None;
    let mut writer = center.engine.store().write().await.unwrap();
    writer.edit_plan(plan, &settings).await.unwrap();
    writer.commit().await.unwrap();
    let (_, rows) = outcomes(&center, plan).await;
    assert!(rows.contains(&row("held", "in_flight_limit", 1)), "{rows:?}");
    assert!(rows.contains(&row("offered_now", "due", 1)), "{rows:?}");
    assert!(rows.contains(&row("no_update_required", "at_target", 1)), "{rows:?}");
    center.engine.activate(plan, Supersede::Refuse).await.unwrap();
    assert_eq!(center.minutes(10).await.len(), 1, "as the dry run said");
    let (run, rows) = outcomes(&center, plan).await;
    assert_eq!(run.state, PlanState::Activated);
    assert!(rows.contains(&row("held", "under_way", 1)), "{rows:?}");
}

#[tokio::test]
async fn a_whitelists_dry_run_looks_at_2000_keys() {
    let center = Center::new().await;
    let plan = center.saved("plan", &["STM32"], |_| ()).await;
    let keys: Vec<_> = (0..2_500).map(|number| key(&format!("k{number:04}"))).collect();
    center.engine.replace_list(plan, quecota_center::rules::plan::List::White, &keys).await.unwrap();
    let run = center.engine.dry_run(plan).await.unwrap();
    assert_eq!((run.devices, run.examined), (2_500, 2_000));
}

#[tokio::test]
async fn an_activation_looks_at_a_small_sample_for_its_warnings() {
    let center = Center::new().await;
    let plan = center.saved("plan", &["STM32"], |_| ()).await;
    for number in 0..150 {
        let device = center.device(&format!("k{number:03}")).await;
        let mut writer = center.engine.store().write().await.unwrap();
        let later = ReportedVersion { component: no("STM32"), version: "3".into() };
        writer.save_versions(&[(device.id, later)], &[]).await.unwrap();
        writer.commit().await.unwrap();
    }
    let warnings = center.engine.activation_warnings(plan).await.unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("100 of the 100 devices looked at report a later version"), "{warnings:?}");
}
