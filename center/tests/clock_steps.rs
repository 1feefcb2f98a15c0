//! The clock is put forward or back, or the center stands still: no device fails for it, and nothing waits for a clock that was
//! put back.

mod conversation;

use std::sync::Arc;
use std::time::Duration;

use conversation::*;
use quecota_center::clock::{Jump, Millis};
use quecota_center::engine::{Downlink, SessionId};
use quecota_center::rules::plan::Push;
use quecota_center::rules::*;
use quecota_center::scheduler::{Delivery, DeviceLink, Scheduler};
use tokio_util::sync::CancellationToken;

struct NoLink;

impl DeviceLink for NoLink {
    fn send(&self, _: DeviceId, _: &Downlink) -> Delivery {
        Delivery::Offline
    }

    fn close(&self, _: DeviceId, _: &SessionId) {}

    fn close_all(&self) {}
}

async fn lease(center: &Center, plan: PlanId) -> Option<Millis> {
    center.upgrade(plan).await.components[0].lease_until
}

#[tokio::test]
async fn a_clock_put_forward_or_a_process_that_stood_still_costs_no_device_its_attempt() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    center.clock.advance(Millis::minutes(15));
    center.engine.jumped(Jump::Forward(Millis::minutes(15))).await.unwrap();
    assert_eq!(center.tick().await, []);
    assert_eq!(lease(&center, plan).await, Some(center.clock.now() + Millis::minutes(5)));
    firmware(&device.status(quecota_core::wire::message::OtaStatus::Confirmed).await);
}

#[tokio::test]
async fn a_clock_put_back_by_a_day_makes_nothing_last_a_day() {
    let center = Center::new().await;
    let plan = center
        .plan(&["STM32"], |plan| {
            plan.push = Push::Actively;
            plan.strategy.max_per_minute = Some(1);
        })
        .await;
    let mut device = center.connected().await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    let before = lease(&center, plan).await.unwrap() - center.clock.now();
    let day = Millis::hours(24);
    center.clock.advance(Millis(0) - day);
    center.engine.jumped(Jump::Back(day)).await.unwrap();
    assert_eq!(lease(&center, plan).await.unwrap() - center.clock.now(), before);
    // A second look changes nothing any more.
    center.engine.jumped(Jump::Back(day)).await.unwrap();
    assert_eq!(lease(&center, plan).await.unwrap() - center.clock.now(), before);
    let mut other = center.test_device("d2").await;
    assert_offers(&other.report("FW1", "STM32:1").await, &["STM32"]);
    let offered = center.minutes(21).await;
    assert!(!offered.is_empty(), "the marks go on, and the lease is over");
}

#[tokio::test]
async fn the_scheduler_compares_the_two_clocks_before_each_tick() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    let shutdown = CancellationToken::new();
    let scheduler = Scheduler::new(center.engine.clone(), Arc::new(NoLink), None);
    let running = tokio::spawn(scheduler.ticking_every(Duration::from_millis(20)).run(shutdown.clone()));
    let ticks = || {
        let text = center.engine.metrics().text(0).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("quecota_tick_seconds_count "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let more_ticks = async |count: u64| {
        let until = ticks() + count;
        tokio::time::timeout(Duration::from_secs(30), async {
            while ticks() < until {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("ticks within 30 s");
    };
    more_ticks(2).await;
    center.clock.advance(Millis::minutes(15));
    more_ticks(3).await;
    assert_eq!(lease(&center, plan).await, Some(center.clock.now() + Millis::minutes(5)));
    center.clock.advance(Millis(0) - Millis::hours(24));
    more_ticks(3).await;
    let left = lease(&center, plan).await.unwrap() - center.clock.now();
    assert!(left < Millis::hours(1), "{left}");
    shutdown.cancel();
    running.await.unwrap();
}
