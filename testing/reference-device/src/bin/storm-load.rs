//! Storms for a center: all devices connect at the same moment; then all of them drop and come back at once, `--returns`
//! times.
//!
//! Prints a line of numbers for each storm: devices, seconds until the last one was online, tries that the center closed or
//! did not answer, the most of them that one device had, CPU seconds of the processes `--pid`, and their memory in KB after it.

use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use reference_device::FieldDevice;
use reference_device::cpu::seconds_of;

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
    /// How often all drop and come back.
    #[arg(long, default_value_t = 1)]
    returns: u32,
    /// How long they stay online at the end.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    stay: u64,
    /// A process whose CPU time and memory are told; several may be given.
    #[arg(long)]
    pid: Vec<u32>,
}

/// A device needs little: ten thousand of them are ten thousand stacks.
const STACK: usize = 64 * 1024;
/// Between two tries of a device.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a device tries.
const TRIES: u32 = 100;

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
    /// A storm begins or ends.
    all: Barrier,
    /// Tries that failed, and the most of one device, in this storm; the trouble of one of them.
    failed: Mutex<(u64, u32, Option<String>)>,
}

fn run(options: &Options) -> Result<(), String> {
    let server = options.server.strip_prefix("mqtt://").unwrap_or(&options.server);
    let mut found = server.to_socket_addrs().map_err(|error| format!("{server}: {error}; say HOST:PORT"))?;
    let server = found.next().ok_or(format!("{server}: no address"))?;
    let devices = usize::try_from(options.devices).unwrap_or(usize::MAX);
    let shared = Arc::new(Shared { all: Barrier::new(devices.saturating_add(1)), failed: Mutex::default() });
    let returns = options.returns;
    for number in 0..options.devices {
        let shared = Arc::clone(&shared);
        let key = format!("86{:013}", options.first + number);
        let device = FieldDevice::new(server, &options.product_key, &options.product_secret, &key);
        let thread = thread::Builder::new().stack_size(STACK);
        thread.spawn(move || shared.play(device, returns)).map_err(|error| format!("a thread: {error}"))?;
    }
    for _ in 0..=returns {
        let before = seconds_of(&options.pid)?;
        shared.all.wait();
        let begun = Instant::now();
        shared.all.wait();
        let seconds = begun.elapsed().as_secs_f64();
        let (tries, most, trouble) =
            std::mem::take(&mut *shared.failed.lock().unwrap_or_else(PoisonError::into_inner));
        let cpu = seconds_of(&options.pid)? - before;
        println!("{devices} {seconds:.1} {tries} {most} {cpu:.1} {}", memory_of(&options.pid));
        if let Some(trouble) = trouble {
            eprintln!("one of the tries that failed: {trouble}");
        }
        if most >= TRIES {
            return Err(format!("a device did not come online in {TRIES} tries"));
        }
    }
    thread::sleep(Duration::from_secs(options.stay));
    Ok(())
}

impl Shared {
    fn play(&self, mut device: FieldDevice, returns: u32) {
        device.keep_alive = 600;
        for _ in 0..=returns {
            self.all.wait();
            device.goodbye();
            self.come_online(&mut device);
            self.all.wait();
        }
        // The connection lasts as long as the process.
        thread::park();
    }

    fn come_online(&self, device: &mut FieldDevice) {
        let mut tried = 0;
        while let Err(trouble) = device.come_online() {
            device.goodbye();
            tried += 1;
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = (failed.0 + 1, failed.1.max(tried), Some(trouble.to_string()));
            drop(failed);
            if tried >= TRIES {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Kilobytes of memory that these processes have in use.
fn memory_of(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    processes.iter().filter_map(of).sum()
}
