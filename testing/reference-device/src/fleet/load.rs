//! Load for a center: devices that say the same again and again, that connect all at once, or that download.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Device, Fleet, Source};
use crate::mqtt::{Qos, Trouble};
use crate::{command, firmware_of, plans_of};

/// What the devices say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Message {
    /// Status 5 of a download that goes on: they are offered the plan and confirm it first.
    Status,
    /// Is there a plan? There is nothing new for them.
    Request,
    /// Battery and signal, another value each time.
    Battery,
    /// The module's version, another one each time.
    Version,
}

/// How long devices may take until the last of them is ready.
const READY: Duration = Duration::from_secs(120);
/// How long an offer and its firmware may take.
const OFFER: Duration = Duration::from_secs(20);

/// Times of something that happened often, in microseconds, sorted.
#[derive(Debug, Default)]
pub struct Times(Vec<u64>);

impl Times {
    fn of(mut times: Vec<u64>) -> Times {
        times.sort_unstable();
        Times(times)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which this share of them was over, in %.
    pub fn at(&self, share: usize) -> u64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * share / 100).min(last)).copied().unwrap_or_default()
    }
}

/// Every device connects and gets ready; then all of them talk for `span`, each as soon as its last message is acknowledged,
/// or `rate` messages a second in all. The times from a message to its last acknowledgement, and how long they talked.
pub async fn talk(
    fleet: &Arc<Fleet>,
    message: Message,
    span: Duration,
    rate: Option<u32>,
) -> Result<(Times, Duration), String> {
    let count = usize::try_from(fleet.devices).map_err(|_| "too many devices")?;
    let ready = Arc::new(Barrier::new(count + 1));
    let gap = rate.map(|rate| Duration::from_secs_f64(fleet.devices as f64 / f64::from(rate.max(1))));
    let mut devices = JoinSet::new();
    for number in 0..fleet.devices {
        let (fleet, ready) = (Arc::clone(fleet), Arc::clone(&ready));
        devices.spawn(async move {
            let mut device = Device::new(&fleet, number);
            device.connect().await;
            let kind = prepare(&mut device, message).await;
            ready.wait().await;
            let kind = kind?;
            let end = Instant::now() + span;
            // Paced devices do not begin at one moment.
            let mut next =
                Instant::now() + gap.unwrap_or_default().mul_f64(number as f64 / fleet.devices as f64);
            let mut times = Vec::new();
            loop {
                if let Some(gap) = gap {
                    sleep_until(next.min(end)).await;
                    next += gap;
                }
                if Instant::now() >= end {
                    return Ok(times);
                }
                let begun = Instant::now();
                say(&mut device, message, kind, times.len())
                    .await
                    .map_err(|trouble| format!("{}: {trouble}", device.device.flash.device_key))?;
                times.push(micros(begun.elapsed()));
            }
        });
    }
    if timeout(READY, ready.wait()).await.is_err() {
        let online = fleet.counts.online.load(Relaxed);
        return Err(format!("{online} of {count} devices are online, and not all are ready after {READY:?}"));
    }
    let begun = Instant::now();
    let mut times = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    while let Some(done) = devices.join_next().await {
        match done.map_err(|error| error.to_string())? {
            Ok(its) => times.extend(its),
            Err(why) => failed.push(why),
        }
    }
    match failed.first() {
        Some(why) => Err(format!("{} of {count} devices failed; one of them: {why}", failed.len())),
        None => Ok((Times::of(times), begun.elapsed())),
    }
}

/// What comes before the talk; gives the kind of component that is offered.
async fn prepare(device: &mut Device, message: Message) -> Result<i64, String> {
    let key = device.device.flash.device_key.clone();
    let words = |trouble: Trouble| format!("{key}: {trouble}");
    device.report().await.map_err(words)?;
    if message != Message::Status {
        return Ok(0);
    }
    device.request().await.map_err(words)?;
    let kind = confirm(device).await.map_err(words)?;
    await_url(device).await.map_err(words)?;
    device.say(4, "MCU", kind).await.map_err(words)?;
    Ok(kind)
}

/// Waits for an offer and confirms it.
async fn confirm(device: &mut Device) -> Result<i64, Trouble> {
    let end = Instant::now() + OFFER;
    loop {
        let frame = device.frame(end).await?.ok_or(Trouble::Timeout("no offer".into()))?;
        if frame.command == command::PLAN_NOTIFY {
            let plans = plans_of(&frame.payload).map_err(Trouble::Malformed)?;
            let kind = plans.first().map_or(0, |plan| plan.kind);
            device.say(2, "MCU", kind).await?;
            return Ok(kind);
        }
    }
}

async fn await_url(device: &mut Device) -> Result<(String, u64), Trouble> {
    let end = Instant::now() + OFFER;
    loop {
        let frame = device.frame(end).await?.ok_or(Trouble::Timeout("no firmware".into()))?;
        if frame.command == command::FIRMWARE_INFO {
            let firmware = firmware_of(&frame.payload).map_err(Trouble::Malformed)?;
            return Ok((firmware.url, firmware.size));
        }
    }
}

async fn say(device: &mut Device, message: Message, kind: i64, count: usize) -> Result<(), Trouble> {
    match message {
        Message::Status => device.say(5, "MCU", kind).await,
        Message::Request => device.request().await,
        Message::Battery => {
            device.device.status.battery = 50 + (device.device.status.battery + 1) % 50;
            let bytes = device.device.status_report(&[1, 5]);
            device.publish("sys", Qos::One, &bytes).await
        }
        Message::Version => {
            device.device.flash.module_version = format!("EC200UCNAAR03A{:02}M08", count % 2);
            let bytes = device.device.info_report();
            device.publish("sys", Qos::One, &bytes).await
        }
    }
}

/// What a fleet that stays was told to do last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orders {
    /// How often every device was told to drop its connection and to come back at once.
    pub drops: u32,
    /// They are to end.
    pub end: bool,
}

/// All devices connect at once, report if `reports` says so, and stay online, silent: offers are counted and not answered. Each time that all of them are
/// back, `arrived` is told how long the last one took and the times of all.
pub async fn stay(
    fleet: Arc<Fleet>,
    reports: bool,
    orders: watch::Receiver<Orders>,
    mut arrived: impl FnMut(Duration, Times),
) -> Result<(), String> {
    let count = usize::try_from(fleet.devices).map_err(|_| "too many devices")?;
    let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
    let mut devices = JoinSet::new();
    let begun = Instant::now();
    for number in 0..fleet.devices {
        let (fleet, mut orders, came) = (Arc::clone(&fleet), orders.clone(), came.clone());
        devices.spawn(async move {
            let mut device = Device::new(&fleet, number);
            let (mut drops, mut told_of) = (0, None);
            let mut begun = begun;
            loop {
                device.connect().await;
                if reports && device.report().await.is_err() {
                    device.hang_up();
                    continue;
                }
                // A connection that was lost and made again does not count twice.
                if told_of.replace(drops) != Some(drops) {
                    // The other end is gone when everything ends.
                    let _ = came.send((drops, micros(begun.elapsed())));
                }
                let dropped = tokio::select! {
                    told = orders.wait_for(|orders| orders.end || orders.drops > drops) => {
                        match told.map(|orders| *orders) {
                            Ok(orders) if !orders.end => Some(orders.drops),
                            _ => return,
                        }
                    }
                    () = idle(&mut device, &fleet) => None,
                };
                begun = Instant::now();
                match dropped {
                    Some(now) => {
                        drops = now;
                        device.hang_up();
                    }
                    None => {
                        fleet.counts.lost.fetch_add(1, Relaxed);
                        device.hang_up();
                    }
                }
            }
        });
    }
    drop(came);
    let mut orders = orders;
    let (mut times, mut round) = (Vec::with_capacity(count), 0);
    let mut since = begun;
    loop {
        tokio::select! {
            come = comes.recv() => {
                let Some((drops, time)) = come else { return Ok(()) };
                if drops == round {
                    times.push(time);
                }
                if times.len() == count {
                    arrived(since.elapsed(), Times::of(std::mem::take(&mut times)));
                    round += 1;
                }
            }
            told = orders.changed() => {
                let now = *orders.borrow_and_update();
                if told.is_err() || now.end {
                    return Ok(());
                }
                since = Instant::now();
                times.clear();
                round = now.drops;
            }
        }
    }
}

/// Online, until the connection breaks.
async fn idle(device: &mut Device, fleet: &Fleet) {
    loop {
        let alive = Instant::now() + Duration::from_secs(u64::from(fleet.keep_alive).max(2) / 2);
        let heard = match device.frame(alive).await {
            Ok(Some(frame)) => {
                if frame.command == command::PLAN_NOTIFY {
                    fleet.counts.offered();
                }
                Ok(())
            }
            Ok(None) => device.ping().await,
            Err(trouble) => Err(trouble),
        };
        if heard.is_err() {
            return;
        }
    }
}

/// From where devices download.
pub enum From {
    /// One address for all of them, and the bytes that are there.
    Url(String, u64),
    /// Each from the address that its offer brings.
    Offer(Arc<Fleet>),
}

/// `clients` fetch ranges of `range` bytes for `span`, each over a connection that it keeps. Bytes that came, and how long that
/// took.
pub async fn download(
    from: From,
    clients: u64,
    range: u64,
    span: Duration,
) -> Result<(u64, Duration), String> {
    let ready = Arc::new(Barrier::new(usize::try_from(clients).map_err(|_| "too many clients")? + 1));
    let from = Arc::new(from);
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let (ready, from) = (Arc::clone(&ready), Arc::clone(&from));
        tasks.spawn(async move {
            // A device stays online while it downloads.
            let mut device = None;
            let found = match &*from {
                From::Url(url, size) => Ok((url.clone(), *size)),
                From::Offer(fleet) => offered(device.insert(Device::new(fleet, number))).await,
            };
            ready.wait().await;
            let (url, size) = found?;
            let mut source = Source::new(&url)?;
            let end = Instant::now() + span;
            let (mut bytes, mut at) = (0, 0);
            while Instant::now() < end {
                let until = size.min(at + range) - 1;
                bytes += source.range(at, until, None).await?.len() as u64;
                at = if until + 1 == size { 0 } else { until + 1 };
            }
            Ok::<u64, String>(bytes)
        });
    }
    timeout(READY, ready.wait()).await.map_err(|_| format!("not all clients are ready after {READY:?}"))?;
    let begun = Instant::now();
    let mut bytes = 0;
    while let Some(done) = tasks.join_next().await {
        bytes += done.map_err(|error| error.to_string())??;
    }
    Ok((bytes, begun.elapsed()))
}

async fn offered(device: &mut Device) -> Result<(String, u64), String> {
    let begin = async {
        device.connect().await;
        device.report().await?;
        device.request().await?;
        let kind = confirm(device).await?;
        let found = await_url(device).await?;
        device.say(4, "MCU", kind).await?;
        Ok(found)
    };
    begin.await.map_err(|trouble: Trouble| trouble.to_string())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
