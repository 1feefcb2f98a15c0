//! A fleet of simulated devices over real MQTT and HTTP: to look at a center under one, to repeat what went wrong by its seed,
//! and to measure.
//!
//! `fleet run` lives a whole life; `fleet load`, `stay` and `download` are the load of `cargo xtask bench center`.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use reference_device::fleet::load::{self, From, Message, Orders};
use reference_device::fleet::{Counts, Fleet, Mix, Progress, Record};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

#[derive(Parser)]
#[command(version, about = "Simulated devices: thousands in one process, over real MQTT and HTTP")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Devices connect, report, and take offers as the file says, until all are done with theirs
    Run(Run),
    /// Devices say the same again and again; prints messages, seconds, and the 50th, 99th and last percentile in µs
    Load(Load),
    /// Devices connect all at once and stay; takes orders from its input: drop, offers, counts
    Stay(Stay),
    /// Devices fetch ranges again and again; prints bytes and seconds
    Download(Download),
}

#[derive(Args)]
struct Who {
    /// The center's MQTT address
    #[arg(long, env = "QUECOTA_MQTT", value_name = "HOST:PORT")]
    server: String,
    #[arg(long, value_name = "PK")]
    product_key: String,
    #[arg(long, value_name = "PS")]
    product_secret: String,
    /// How many
    #[arg(long, default_value_t = 200)]
    devices: u64,
    /// Number of the first one: its key is 86 and thirteen digits
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// What they are, as in the head of the module `mix`; without it each upgrades MCU from version 1
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,
    /// Makes the same fleet again; without it one is drawn, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds between two signs of life
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    keep_alive: u16,
    /// They connect from so many addresses of the loopback, 127.0.1.1 and on: one has 28,000 ports, each of which rests
    /// for a minute when its connection was closed
    #[arg(long, default_value_t = 0)]
    addresses: u8,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    who: Who,
    /// Ends after so many seconds at the latest
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    within: u64,
    /// Ends when offers have come and no device has said anything for so many seconds, too
    #[arg(long, value_name = "SECONDS")]
    calm: Option<u64>,
    /// Goes on when all devices are done: they may be offered more
    #[arg(long)]
    stay: bool,
    /// Writes a line for each device in the end: key, SDK, versions, how far it came
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    who: Who,
    #[arg(long, value_enum)]
    message: Message,
    /// How long they talk
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// Messages a second of all together; without it each device talks as fast as it is answered
    #[arg(long)]
    rate: Option<u32>,
}

#[derive(Args)]
struct Stay {
    #[command(flatten)]
    who: Who,
    /// Each reports its status and versions before it counts as online
    #[arg(long)]
    reports: bool,
    /// Ends after so many seconds at the latest
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    within: u64,
}

#[derive(Args)]
struct Download {
    /// What is fetched; without it each device is offered its firmware first
    #[arg(long, requires = "size")]
    url: Option<String>,
    /// Bytes at that address
    #[arg(long)]
    size: Option<u64>,
    #[command(flatten)]
    who: Who,
    /// Bytes
    #[arg(long, default_value_t = 65_536)]
    range: u64,
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    seconds: u64,
}

fn main() -> ExitCode {
    let command = Options::parse().command;
    // One thread: what the center shares a small machine with should be small itself.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(act(command)),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn act(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Run(options) => run(options).await,
        Command::Load(options) => {
            let fleet = fleet(&options.who)?;
            let span = Duration::from_secs(options.seconds);
            let (times, took) = load::talk(&fleet, options.message, span, options.rate).await?;
            let [half, most, last] = [50, 99, 100].map(|share| times.at(share));
            println!("{} {:.3} {half} {most} {last}", times.count(), took.as_secs_f64());
            Ok(ExitCode::SUCCESS)
        }
        Command::Stay(options) => stay(options).await,
        Command::Download(options) => {
            let fleet = fleet(&options.who)?;
            let clients = fleet.devices;
            let from = match (options.url, options.size) {
                (Some(url), Some(size)) => From::Url(url, size),
                _ => From::Offer(fleet),
            };
            let span = Duration::from_secs(options.seconds);
            let (bytes, took) = load::download(from, clients, options.range.max(1), span).await?;
            println!("{bytes} {:.3}", took.as_secs_f64());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn fleet(who: &Who) -> Result<Arc<Fleet>, String> {
    let bare = who.server.strip_prefix("mqtt://").unwrap_or(&who.server);
    let mut found = bare.to_socket_addrs().map_err(|error| format!("{bare}: {error}; say HOST:PORT"))?;
    let server: SocketAddr = found.next().ok_or(format!("{bare}: no address"))?;
    let mix: Mix = match &who.fleet {
        None => "component MCU 1".parse().map_err(|error| format!("{error}"))?,
        Some(file) => {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            text.parse().map_err(|error| format!("{}: {error}", file.display()))?
        }
    };
    Ok(Arc::new(Fleet {
        server,
        product_key: who.product_key.clone(),
        product_secret: who.product_secret.clone(),
        first: who.first,
        devices: who.devices,
        mix,
        seed: who.seed.unwrap_or_else(drawn),
        keep_alive: who.keep_alive,
        addresses: who.addresses,
        counts: Counts::of(who.devices),
    }))
}

/// A seed that another run will not have.
fn drawn() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20) ^ u64::from(std::process::id())
}

async fn run(options: Run) -> Result<ExitCode, String> {
    let fleet = fleet(&options.who)?;
    println!("{} devices; the same ones again: --seed {}", fleet.devices, fleet.seed);
    let (stop, stopped) = watch::channel(false);
    let begun = Instant::now();
    let within = Duration::from_secs(options.within);
    let living = tokio::spawn({
        let fleet = Arc::clone(&fleet);
        async move { fleet.live(stopped, within).await }
    });
    let live = std::io::stdout().is_terminal();
    let mut shown = Instant::now();
    let mut whole = false;
    let calm = options.calm.map(Duration::from_secs);
    let (mut said, mut heard) = (0, Instant::now());
    while !living.is_finished() && (options.stay || fleet.counts.ended() < fleet.devices) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !whole && fleet.counts.online.load(Relaxed) == fleet.devices {
            whole = true;
            println!("all online after {:.1} s", begun.elapsed().as_secs_f64());
        }
        let now = fleet.counts.messages.load(Relaxed);
        if said != now {
            (said, heard) = (now, Instant::now());
        }
        if fleet.counts.offers.load(Relaxed) > 0 && calm.is_some_and(|calm| heard.elapsed() >= calm) {
            break;
        }
        let pause = Duration::from_secs(if live { 1 } else { 10 });
        if shown.elapsed() >= pause {
            shown = Instant::now();
            show(&fleet.counts, live, begun.elapsed());
        }
    }
    let took = begun.elapsed();
    // Nobody may be left to hear it.
    let _ = stop.send(true);
    let records = living.await.map_err(|error| error.to_string())?;
    show(&fleet.counts, live, took);
    let ended = fleet.counts.ended();
    println!("{:.1} s, {ended} of {} devices", took.as_secs_f64(), fleet.devices);
    println!(
        "done {} upgraded, {} lost connections, {} tries refused, {} devices refused twice",
        fleet.counts.at(Progress::Upgraded),
        fleet.counts.lost.load(Relaxed),
        fleet.counts.refused.load(Relaxed),
        fleet.counts.refused_twice.load(Relaxed),
    );
    if let Some(file) = &options.records {
        std::fs::write(file, table(records)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(if ended == fleet.devices || options.stay || calm.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Shows the picture: in a terminal always at the same place.
fn show(counts: &Counts, live: bool, took: Duration) {
    let clear = if live { "\x1b[H\x1b[2J" } else { "" };
    print!("{clear}{:.0} s: {counts}", took.as_secs_f64());
    // A terminal that is gone takes nothing more.
    let _ = std::io::stdout().flush();
}

fn table(mut records: Vec<Record>) -> String {
    records.sort_by(|one, other| one.key.cmp(&other.key));
    let mut text = String::new();
    for Record { key, sdk, module, components, progress, offers, trouble, .. } in records {
        let trouble = trouble.unwrap_or_default();
        // A String takes everything.
        let _ = writeln!(text, "{key}\t{sdk}\t{module}\t{components}\t{progress}\t{offers}\t{trouble}");
    }
    text
}

async fn stay(options: Stay) -> Result<ExitCode, String> {
    let fleet = fleet(&options.who)?;
    let (orders, told) = watch::channel(Orders::default());
    let of = Arc::clone(&fleet);
    let staying = load::stay(Arc::clone(&fleet), options.reports, told, move |took, times| {
        let counts = &of.counts;
        // How long all of them took, tries that were refused, devices that were refused twice, and times of single ones in µs.
        println!(
            "online {:.3} {} {} {} {} {}",
            took.as_secs_f64(),
            counts.refused.swap(0, Relaxed),
            counts.refused_twice.swap(0, Relaxed),
            times.at(50),
            times.at(99),
            times.at(100)
        );
    });
    let hearing = async {
        let mut lines = lines_of_input();
        loop {
            match lines.recv().await.as_deref().map(str::trim) {
                None => return Ok(()),
                Some("drop") => orders.send_modify(|orders| orders.drops += 1),
                Some("offers") => {
                    let (count, first, last) = fleet.counts.take_offers();
                    println!("offers {count} {first} {last}");
                }
                Some("counts") => {
                    let counts = &fleet.counts;
                    println!("counts {} {}", counts.online.load(Relaxed), counts.lost.load(Relaxed));
                }
                Some(other) => return Err(format!("{other:?} is no order; there are: drop, offers, counts")),
            }
        }
    };
    let within = tokio::time::sleep(Duration::from_secs(options.within));
    tokio::select! {
        done = staying => done?,
        heard = hearing => heard?,
        () = within => return Err(format!("{} s are over", options.within)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of the standard input, read by a thread of its own that ends with the process.
fn lines_of_input() -> mpsc::UnboundedReceiver<String> {
    let (to, from) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    from
}
