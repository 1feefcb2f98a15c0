//! Upgrades of devices, what is due of them, and the answers of end users.

use super::*;
use quecota_center::rules::takeover::Takeovers;

contract! {
    an_upgrade_comes_back_with_its_components
    a_device_is_in_a_plan_once
    a_cancelled_upgrade_comes_back
    leases_and_due_offers_are_found
    no_lease_ends_before_the_grace
    a_users_consent_comes_back_and_the_last_one_counts
    a_device_is_rechecked_when_its_user_answered
}

async fn an_upgrade_comes_back_with_its_components(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert_eq!(writer.upgrade(made.id).await.unwrap(), made);
    made.state = UpgradeState::Failed;
    made.reason = Some("the plan was terminated".into());
    made.confirmed = Some(NOW);
    made.next_offer = Some(NOW);
    made.components[0].state = ComponentState::DownloadFailed;
    made.components[0].failures = 3;
    made.components[0].wants_sha256 = true;
    made.components[0].proving = true;
    made.components[0].lease_until = None;
    made.components[0].reason = Some("status 6".into());
    writer.save_upgrade(&made).await.unwrap();
    writer.raise_fetched(made.id, &no("STM32"), 70_000).await.unwrap();
    writer.raise_fetched(made.id, &no("STM32"), 60_000).await.unwrap();
    made.components[0].fetched = 70_000;
    assert_eq!(writer.find_upgrade(plan.id, device.id).await.unwrap(), Some(made.clone()));
    assert_eq!(writer.open_upgrades(device.id).await.unwrap(), [made.clone()]);
    assert_eq!(writer.plan_upgrades(plan.id, 0, 10).await.unwrap(), [made.clone()]);
    assert_eq!(writer.plan_figures(plan.id).await.unwrap().failed, 1);
    made.ended = Some(NOW);
    writer.save_upgrade(&made).await.unwrap();
    assert!(writer.open_upgrades(device.id).await.unwrap().is_empty());
    assert_eq!(writer.device_upgrades(device.id).await.unwrap(), [made]);
}

async fn a_device_is_in_a_plan_once(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert!(writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.is_err());
}

async fn a_cancelled_upgrade_comes_back(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut upgrade = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert_eq!(writer.upgrade(upgrade.id).await.unwrap().cancelled, None);
    upgrade.cancelled = Some(NOW);
    writer.save_upgrade(&upgrade).await.unwrap();
    assert_eq!(writer.upgrade(upgrade.id).await.unwrap(), upgrade);
    for line in 0..3 {
        let value = serde_json::json!({ "line": line }).to_string();
        let upgrade = Some(upgrade.id);
        let entry = NewLogEntry { device: device.id, upgrade, component: None, kind: "user", value };
        writer.log(entry, NOW).await.unwrap();
    }
    let log = writer.upgrade_log_after(upgrade.id, 0, 2).await.unwrap();
    assert_eq!(log.len(), 2);
    let rest = writer.upgrade_log_after(upgrade.id, log[1].id, 2).await.unwrap();
    assert_eq!(rest.iter().map(|entry| &entry.value["line"]).collect::<Vec<_>>(), [2]);
}

async fn leases_and_due_offers_are_found(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let lease = made.components[0].lease_until.unwrap();
    assert!(writer.leases_over("center", lease - Millis(1), 10).await.unwrap().is_empty());
    assert_eq!(writer.leases_over("center", lease, 10).await.unwrap(), [device.id]);
    made.next_offer = Some(NOW);
    writer.save_upgrade(&made).await.unwrap();
    let before = |span: i64| Some(NOW - Millis(span));
    for since in [None, before(1)] {
        assert_eq!(writer.offers_due("center", since, NOW, 10).await.unwrap(), [], "the device is offline");
    }
    writer.set_online(device.id, "center/1", None, Takeovers::default(), NOW).await.unwrap();
    for since in [None, before(9)] {
        assert_eq!(writer.offers_due("center", since, NOW - Millis(1), 10).await.unwrap(), []);
        assert_eq!(writer.offers_due("center", since, NOW, 10).await.unwrap(), [device.id]);
    }
    assert_eq!(writer.offers_due("center", before(0), NOW, 10).await.unwrap(), [], "it was due before");
}

async fn no_lease_ends_before_the_grace(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let lease = made.components[0].lease_until.unwrap();
    writer.extend_leases(lease - Millis(1)).await.unwrap();
    assert_eq!(writer.upgrade(made.id).await.unwrap().components[0].lease_until, Some(lease));
    writer.extend_leases(lease + Millis(1)).await.unwrap();
    assert_eq!(writer.upgrade(made.id).await.unwrap().components[0].lease_until, Some(lease + Millis(1)));
}

async fn a_users_consent_comes_back_and_the_last_one_counts(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, _, plan) = scene(&mut writer).await;
    assert_eq!(device.auto_confirm, AutoConfirm::Off);
    assert_eq!(writer.find_answer(plan.id, device.id).await.unwrap(), None);
    let window = Appointment { from: NOW + Millis::hours(1), until: NOW + Millis::hours(2) };
    for answer in [Answer::Appointed(window), Answer::Confirmed, Answer::Appointed(window)] {
        writer.set_answer(plan.id, device.id, answer, NOW).await.unwrap();
        let said = writer.find_answer(plan.id, device.id).await.unwrap();
        assert_eq!(said, Some(UserConsent { answer, at: NOW }));
    }
    assert_eq!(writer.next_opening(device.id, NOW).await.unwrap(), Some(window.from));
    assert_eq!(writer.next_opening(device.id, window.from).await.unwrap(), None);
    writer.forget_answer(plan.id, device.id).await.unwrap();
    assert_eq!(writer.find_answer(plan.id, device.id).await.unwrap(), None);
    writer.set_auto_confirm(device.id, AutoConfirm::On).await.unwrap();
    assert_eq!(writer.device_by_id(device.id).await.unwrap().auto_confirm, AutoConfirm::On);
}

async fn a_device_is_rechecked_when_its_user_answered(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, ..) = scene(&mut writer).await;
    writer.set_recheck_at(device.id, Some(NOW)).await.unwrap();
    assert_eq!(writer.rechecks_due("center", NOW, 9).await.unwrap(), [], "it is offline");
    writer.set_online(device.id, "center/1", None, Takeovers::default(), NOW).await.unwrap();
    assert_eq!(writer.rechecks_due("center", NOW - Millis(1), 9).await.unwrap(), []);
    assert_eq!(writer.rechecks_due("center", NOW, 9).await.unwrap(), [device.id]);
    writer.set_recheck_at(device.id, None).await.unwrap();
    assert_eq!(writer.rechecks_due("center", NOW, 9).await.unwrap(), []);
}
