//! Load for a center: many devices over real MQTT, each saying the same again and again. `cargo xtask bench center` runs it.
//!
//! Prints one line of numbers: messages acknowledged, seconds, and the 50th, 99th and last percentile of the time from a
//! message to its last acknowledgement, in microseconds.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use reference_device::mqtt::{Qos, Trouble};
use reference_device::{FieldDevice, command, ttlv};

/// What the devices say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Message {
    /// Status 5 of a download that goes on: they are offered the plan and confirm it first.
    Status,
    /// Is there a plan? There is nothing new for them.
    Request,
    /// Battery and signal, another value each time.
    Report,
    /// Nothing: they connect, and are counted when they are online.
    Connect,
}

#[derive(Parser)]
struct Options {
    /// The center's MQTT address.
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    #[arg(long, value_name = "PK")]
    product_key: String,
    #[arg(long, value_name = "PS")]
    product_secret: String,
    #[arg(long, default_value_t = 200)]
    devices: u32,
    /// Number of the first device.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// How long they talk.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    #[arg(long, value_enum)]
    message: Message,
}

/// A device needs little: ten thousand of them are ten thousand stacks.
const STACK: usize = 128 * 1024;
/// Devices that connect at the same moment.
const CONNECTING: usize = 64;
/// How often a device tries to connect.
const TRIES: u32 = 20;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What all devices share.
struct Shared {
    server: SocketAddr,
    product_key: String,
    product_secret: String,
    message: Message,
    /// Everybody is connected.
    ready: Barrier,
    stop: AtomicBool,
    latencies: Mutex<Vec<u64>>,
    places: Mutex<usize>,
}

fn run(options: &Options) -> Result<(), String> {
    let server = options.server.strip_prefix("mqtt://").unwrap_or(&options.server);
    let mut found = server.to_socket_addrs().map_err(|error| format!("{server}: {error}; say HOST:PORT"))?;
    let devices = usize::try_from(options.devices).unwrap_or(usize::MAX);
    let shared = Arc::new(Shared {
        server: found.next().ok_or(format!("{server}: no address"))?,
        product_key: options.product_key.clone(),
        product_secret: options.product_secret.clone(),
        message: options.message,
        ready: Barrier::new(devices.saturating_add(1)),
        stop: AtomicBool::new(false),
        latencies: Mutex::default(),
        places: Mutex::new(CONNECTING),
    });
    let begun = Instant::now();
    let threads: Vec<_> = (0..options.devices)
        .map(|number| {
            let shared = Arc::clone(&shared);
            let key = format!("86{:013}", options.first + number);
            let device = thread::Builder::new().stack_size(STACK);
            device.spawn(move || shared.play(&key)).map_err(|error| format!("a thread: {error}"))
        })
        .collect::<Result<_, _>>()?;
    shared.ready.wait();
    let talk = Instant::now();
    if options.message != Message::Connect {
        thread::sleep(Duration::from_secs(options.seconds));
    }
    shared.stop.store(true, Ordering::Relaxed);
    let mut failed = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => failed.push(why),
            Err(_) => failed.push("a device's thread panicked".to_owned()),
        }
    }
    if let Some(why) = failed.first() {
        return Err(format!("{} of {devices} devices failed; one of them: {why}", failed.len()));
    }
    let seconds = match options.message {
        Message::Connect => talk - begun,
        _ => talk.elapsed(),
    };
    let mut latencies = std::mem::take(&mut *shared.latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort_unstable();
    let at =
        |share: usize| latencies.get((latencies.len() * share / 100).min(latencies.len().saturating_sub(1)));
    let [half, most, last] = [50, 99, 100].map(|share| at(share).copied().unwrap_or_default());
    println!("{} {:.3} {half} {most} {last}", latencies.len(), seconds.as_secs_f64());
    Ok(())
}

impl Shared {
    /// A whole life; its error is in words.
    fn play(&self, key: &str) -> Result<(), String> {
        let mut device = FieldDevice::new(self.server, &self.product_key, &self.product_secret, key);
        device.flash.components = vec![("MCU".to_owned(), "1".to_owned())];
        device.keep_alive = 600;
        let connected = self.connect(&mut device);
        self.ready.wait();
        let (took, kind) = connected?;
        let mut latencies = vec![took];
        if self.message != Message::Connect {
            latencies.clear();
            while !self.stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                self.say(&mut device, kind).map_err(|trouble| format!("{key}: {trouble}"))?;
                latencies.push(micros(begun.elapsed()));
            }
        }
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(latencies);
        Ok(())
    }

    /// Connects and does what comes before the talk; says how long the connection took, and the kind of
    /// component that it is offered.
    fn connect(&self, device: &mut FieldDevice) -> Result<(u64, i64), String> {
        let key = device.flash.device_key.clone();
        let words = |trouble: Trouble| format!("{key}: {trouble}");
        let mut tried = 0;
        let took = loop {
            self.take_place();
            let begun = Instant::now();
            let came = device.come_online();
            self.give_place();
            match came {
                Ok(()) => break micros(begun.elapsed()),
                Err(trouble) if tried >= TRIES => return Err(words(trouble)),
                Err(_) => tried += 1,
            }
            thread::sleep(Duration::from_millis(500));
        };
        match self.message {
            Message::Connect => {}
            Message::Report | Message::Request => device.report_after_connect().map_err(words)?,
            Message::Status => {
                device.request_plan().map_err(words)?;
                let plans = device.expect_plans().map_err(words)?;
                let kind = plans.first().map_or(0, |plan| plan.kind);
                device.report_state(2, kind, "MCU").map_err(words)?;
                device.expect_firmware().map_err(words)?;
                device.report_state(4, kind, "MCU").map_err(words)?;
                return Ok((took, kind));
            }
        }
        Ok((took, 0))
    }

    fn say(&self, device: &mut FieldDevice, kind: i64) -> Result<(), Trouble> {
        match self.message {
            Message::Status => device.report_state(5, kind, "MCU"),
            Message::Request => device.request_plan(),
            Message::Report => {
                // Another value each time: it is stored.
                device.status.battery = 50 + (device.status.battery + 1) % 50;
                let values =
                    [(1, ttlv::number(device.status.battery)), (5, ttlv::number(device.status.rsrp))];
                let bytes = device.seal(command::STATUS_REPORT, &ttlv::emit(&values));
                device.publish("sys", Qos::One, &bytes)
            }
            Message::Connect => Ok(()),
        }
    }

    fn take_place(&self) {
        loop {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            if *places > 0 {
                *places -= 1;
                return;
            }
            drop(places);
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn give_place(&self) {
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
