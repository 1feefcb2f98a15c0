//! Business data of devices: counted, and shown in the device's log, a line for each kind.

mod conversation;

use std::sync::Arc;
use std::time::Duration;

use conversation::{Center, NOON};
use quecota_center::clock::Millis;
use quecota_center::engine::{BusinessData, BusinessKind, Downlink, SessionId};
use quecota_center::scheduler::{Delivery, DeviceLink, Scheduler};
use quecota_center::store::DeviceId;
use tokio_util::sync::CancellationToken;

fn data(kind: BusinessKind, text: &str) -> BusinessData {
    BusinessData { kind, bytes: text.len(), text: text.to_owned() }
}

#[tokio::test]
async fn what_comes_within_a_second_is_written_as_one_line_of_its_kind() {
    let center = Center::new().await;
    let device = center.connected().await.device;
    let log = async || {
        center.engine.write_business().await.unwrap();
        let log = center.engine.store().read().await.unwrap().device_log(device, 10).await.unwrap();
        let line = |line: quecota_center::store::LogEntry| {
            (line.kind, line.value["data"].as_str().unwrap().to_owned(), line.times, line.last_at)
        };
        log.into_iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(log().await, []);
    for text in ["1=1", "1=2", "1=3"] {
        center.engine.business(device, data(BusinessKind::Report, text));
    }
    center.engine.business(device, data(BusinessKind::Pass, "\"hello\""));
    let line = |kind: &str, text: &str, times, last| (kind.to_owned(), text.to_owned(), times, last);
    let passed = line("data passed through", "\"hello\"", 1, NOON);
    assert_eq!(log().await, [line("data report", "1=3", 3, NOON), passed.clone()]);
    center.clock.advance(Millis::seconds(5));
    center.engine.business(device, data(BusinessKind::Report, "1=4"));
    let later = NOON + Millis::seconds(5);
    assert_eq!(log().await, [line("data report", "1=4", 4, later), passed]);
    let figures = center.engine.metrics().text(0).unwrap();
    assert!(figures.contains("quecota_business_messages_total{kind=\"report\"} 4\n"), "{figures}");
    assert!(figures.contains("quecota_business_messages_total{kind=\"pass\"} 1\n"), "{figures}");
}

#[tokio::test]
async fn what_waits_is_bounded_and_still_counted() {
    let center = Center::new().await;
    for number in 0..10_005 {
        center.engine.business(DeviceId(number), data(BusinessKind::Location, ""));
    }
    let device = center.connected().await.device;
    center.engine.business(device, data(BusinessKind::Report, "1=1"));
    // Devices that are gone have no log, and those that came too late are in the figures alone.
    center.engine.write_business().await.unwrap();
    let log = center.engine.store().read().await.unwrap().device_log(device, 10).await.unwrap();
    assert!(log.iter().all(|line| line.kind == "location"), "{log:?}");
    let figures = center.engine.metrics().text(0).unwrap();
    assert!(figures.contains("quecota_business_messages_total{kind=\"location\"} 10005\n"), "{figures}");
    assert!(figures.contains("quecota_business_messages_total{kind=\"report\"} 1\n"), "{figures}");
    center.engine.business(device, data(BusinessKind::Report, "1=2"));
    center.engine.write_business().await.unwrap();
    let log = center.engine.store().read().await.unwrap().device_log(device, 10).await.unwrap();
    assert!(log.iter().any(|line| line.kind == "data report"), "there is room again: {log:?}");
}

struct NoLink;

impl DeviceLink for NoLink {
    fn send(&self, _: DeviceId, _: &Downlink) -> Delivery {
        Delivery::Offline
    }

    fn close(&self, _: DeviceId, _: &SessionId) {}

    fn close_all(&self) {}
}

#[tokio::test]
async fn it_is_written_each_second_and_a_last_time_at_the_shutdown() {
    let center = Center::new().await;
    let device = center.connected().await.device;
    let shutdown = CancellationToken::new();
    let scheduler = Scheduler::new(center.engine.clone(), Arc::new(NoLink), None);
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    center.engine.business(device, data(BusinessKind::Answer, "1=1"));
    let times = async || {
        let log = center.engine.store().read().await.unwrap().device_log(device, 10).await.unwrap();
        log.iter().map(|line| line.times).sum::<i64>()
    };
    tokio::time::timeout(Duration::from_secs(30), async {
        while times().await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a line within 30 s");
    center.engine.business(device, data(BusinessKind::Answer, "1=2"));
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(times().await, 2);
}
