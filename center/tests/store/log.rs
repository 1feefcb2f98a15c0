//! The log of devices and their upgrades.

use super::*;

contract! {
    a_repeated_line_is_counted_in_one_row
    old_lines_are_pruned_a_few_at_a_time
    a_summary_has_one_line_a_day_and_the_latest_value
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
        value: serde_json::json!({ "status": status }).to_string(),
    };
    for (second, status) in [(0, 5), (5, 5), (10, 5), (15, 8)] {
        writer.log(line(status), NOW + Millis::seconds(second)).await.unwrap();
    }
    let stray = NewLogEntry { upgrade: None, component: None, kind: "stray", ..line(3) };
    writer.log(stray, NOW).await.unwrap();
    let log = writer.upgrade_log(made.id, 1_000).await.unwrap().rows;
    let seen: Vec<_> = log.iter().map(|entry| (entry.times, entry.at, entry.last_at)).collect();
    let later = |second| NOW + Millis::seconds(second);
    assert_eq!(seen, [(3, NOW, later(10)), (1, later(15), later(15))]);
    assert_eq!(log[0].value["status"], 5);
    assert_eq!(writer.device_log(device.id, 10).await.unwrap().len(), 3);
    assert_eq!(writer.device_log(device.id, 1).await.unwrap()[0].kind, "stray");
}

async fn a_summary_has_one_line_a_day_and_the_latest_value(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, ..) = scene(&mut writer).await;
    let entry = |device, kind, number: i64| NewLogEntry {
        device,
        upgrade: None,
        component: None,
        kind,
        value: serde_json::json!(number).to_string(),
    };
    let later = |hours| NOW + Millis::hours(hours);
    let report = |number| entry(device.id, "data report", number);
    writer.log_summary(report(1), 3, NOW, later(1)).await.unwrap();
    writer.log(entry(device.id, "status", 0), later(1)).await.unwrap();
    writer.log_summary(entry(device.id, "location", 5), 1, later(1), later(1)).await.unwrap();
    writer.log_summary(report(2), 2, later(2), later(23)).await.unwrap();
    writer.log_summary(report(3), 1, later(24), later(24)).await.unwrap();
    let gone = DeviceId(device.id.0 + 1);
    writer.log_summary(entry(gone, "data report", 4), 1, NOW, NOW).await.unwrap();
    let log = writer.device_log(device.id, 10).await.unwrap();
    let lines: Vec<_> = log
        .iter()
        .map(|line| (line.kind.as_str(), line.value.as_i64().unwrap(), line.times, line.at, line.last_at))
        .collect();
    assert_eq!(
        lines,
        [
            ("data report", 2, 5, NOW, later(23)),
            ("status", 0, 1, later(1), later(1)),
            ("location", 5, 1, later(1), later(1)),
            ("data report", 3, 1, later(24), later(24)),
        ]
    );
    // However often it comes, it is one line among a hundred others.
    for number in 0..300 {
        writer.log(entry(device.id, "status", number), later(25)).await.unwrap();
        writer.log_summary(report(number), 1, later(25), later(25)).await.unwrap();
    }
    let log = writer.device_log(device.id, 1000).await.unwrap();
    let reports = log.iter().filter(|line| line.kind == "data report").count();
    assert!((4..=6).contains(&reports), "{reports}");
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
            value: serde_json::json!(number).to_string(),
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
        value: serde_json::json!(5).to_string(),
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
