//! Devices to try a center with: `reference-device --server HOST:PORT --product-key PK --product-secret PS`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Parser;
use reference_device::{DeviceRunner, ExitReason, Script, Until};

/// Plays devices in the field, as their scripts say.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The center's MQTT address.
    #[arg(long, env = "QUECOTA_MQTT", value_name = "HOST:PORT")]
    server: String,
    #[arg(long, value_name = "PK")]
    product_key: String,
    #[arg(long, value_name = "PS")]
    product_secret: String,
    /// Key of the device; of several the first, and the others count on from it.
    #[arg(long, default_value = "860000000000001", value_name = "DK")]
    device_key: String,
    /// What the device does; without it, it upgrades the components that --component names.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// An MCU component and its version, such as STM32:1_0_0.
    #[arg(long, value_name = "NAME:VERSION")]
    component: Vec<String>,
    /// So many devices with the same script.
    #[arg(long, default_value_t = 1)]
    devices: u64,
    /// Ends once each device was upgraded so many times.
    #[arg(long, value_name = "COUNT")]
    upgrades: Option<usize>,
    /// Ends after so many seconds at the latest, as an error if --upgrades are missing.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    within: u64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let server = address(&options.server)?;
    let mut script: Script = match &options.script {
        None => Script::default(),
        Some(file) => {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            text.parse().map_err(|error| format!("{}: {error}", file.display()))?
        }
    };
    for component in &options.component {
        let (name, version) =
            component.split_once(':').ok_or(format!("component {component:?}: say NAME:VERSION"))?;
        script.components.push((name.into(), version.into()));
    }
    let stop = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(options.within);
    let until = Until { deadline, stop: &stop, upgrades: options.upgrades };
    let mut runners = Vec::new();
    for count in 0..options.devices {
        let key = key_after(&options.device_key, count)?;
        let (pk, ps) = (&options.product_key, &options.product_secret);
        runners.push(
            DeviceRunner::new(server, pk, ps, &key, script.clone())
                .observed_by(|key, event| println!("{key} {event}")),
        );
    }
    let left: Vec<ExitReason> = std::thread::scope(|scope| {
        let until = &until;
        let threads: Vec<_> =
            runners.iter_mut().map(|runner| scope.spawn(move || runner.run(until))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(ExitReason::Died)).collect()
    });
    let missing = options.upgrades.is_some() && left.iter().any(|left| *left != ExitReason::Done);
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn address(server: &str) -> Result<SocketAddr, String> {
    let bare = server.strip_prefix("mqtt://").unwrap_or(server);
    let mut found = bare.to_socket_addrs().map_err(|error| format!("{server}: {error}; say HOST:PORT"))?;
    found.next().ok_or(format!("{server}: no address"))
}

/// The key `count` further on: its last digits are counted up.
fn key_after(first: &str, count: u64) -> Result<String, String> {
    if count == 0 {
        return Ok(first.into());
    }
    let digits = first.len() - first.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
    let (name, number) = first.split_at(first.len() - digits.min(18));
    let number: u64 =
        number.parse().map_err(|_| format!("{first}: several devices need a key that ends in digits"))?;
    Ok(format!("{name}{:0width$}", number + count, width = digits.min(18)))
}
