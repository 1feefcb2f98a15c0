//! The log of devices and their upgrades.

use super::*;

contract! {
    a_repeated_line_is_counted_in_one_row
    old_lines_are_pruned_a_few_at_a_time
}

async fn a_repeated_line_is_counted_in_one_row(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let line = |status: i64| NewLogEntry {
        device: device.id,
        upgrade: Some(made.id),
        component: Some(no("STM32")),
        kind: "status",
        value: serde_json::json!({ "status": status }),
    };
    for (second, status) in [(0, 5), (5, 5), (10, 5), (15, 8)] {
        writer.log(line(status), NOW + Millis::seconds(second)).await.unwrap();
    }
    let stray = NewLogEntry { upgrade: None, component: None, kind: "stray", ..line(3) };
    writer.log(stray, NOW).await.unwrap();
    let log = writer.upgrade_log(made.id).await.unwrap();
    let seen: Vec<_> = log.iter().map(|entry| (entry.times, entry.at, entry.last_at)).collect();
    let later = |second| NOW + Millis::seconds(second);
    assert_eq!(seen, [(3, NOW, later(10)), (1, later(15), later(15))]);
    assert_eq!(log[0].value["status"], 5);
    assert_eq!(writer.device_log(device.id, 10).await.unwrap().len(), 3);
    assert_eq!(writer.device_log(device.id, 1).await.unwrap()[0].kind, "stray");
}

async fn old_lines_are_pruned_a_few_at_a_time(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let open = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    for number in 0..7 {
        let entry = NewLogEntry {
            device: device.id,
            upgrade: (number == 0).then_some(open.id),
            component: None,
            kind: "status",
            value: serde_json::json!(number),
        };
        writer.log(entry, NOW + Millis(number)).await.unwrap();
    }
    let until = NOW + Millis(5);
    assert_eq!(writer.prune_log(until, 3).await.unwrap(), 3);
    assert_eq!(writer.prune_log(until, 3).await.unwrap(), 1);
    assert_eq!(writer.prune_log(until, 3).await.unwrap(), 0);
    let left = writer.device_log(device.id, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|line| line.value.clone()).collect();
    assert_eq!(left, [0, 5, 6], "an upgrade that is not at its end keeps its lines");
    assert_eq!(writer.count_in_flight().await.unwrap(), 1);
}

#[tokio::test]
async fn a_line_is_pruned_by_its_age_once_its_upgrade_has_ended() {
    let bench = Bench::sqlite().await;
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut open = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let entry = NewLogEntry {
        device: device.id,
        upgrade: Some(open.id),
        component: None,
        kind: "status",
        value: serde_json::json!(5),
    };
    writer.log(entry, NOW).await.unwrap();
    assert_eq!(writer.prune_log(NOW + Millis(1), 10).await.unwrap(), 0, "it is not at its end");
    open.ended = Some(NOW);
    writer.save_upgrade(&open).await.unwrap();
    assert_eq!(writer.prune_log(NOW, 10).await.unwrap(), 0, "not before its time");
    assert_eq!(writer.prune_log(NOW + Millis(1), 10).await.unwrap(), 1);
    drop(writer);
    bench.end().await;
}
