//! The simulator's program `fleet` as load.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Measured;
use super::center::{Center, PRODUCT, SECRET, Served, children, profile, used};
use crate::process::{Background, Outcome, fail, output, root};

/// The simulator.
pub fn program() -> std::path::PathBuf {
    root().join("target").join(profile()).join("fleet")
}

/// Who the devices are, and where they go.
fn who(served: &Served, devices: u64, first: u64) -> Vec<String> {
    let words =
        ["--server", &served.mqtt, "--product-key", PRODUCT, "--product-secret", SECRET, "--seed", "1"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend(["--devices".into(), devices.to_string(), "--first".into(), first.to_string()]);
    words
}

fn numbers<const COUNT: usize>(said: &str) -> Outcome<[f64; COUNT]> {
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    numbers.try_into().or_else(|_| fail(format!("fleet printed {said:?}, which are not {COUNT} numbers")))
}

/// What devices say again and again.
pub struct Talk {
    pub message: &'static str,
    pub devices: u64,
    /// Number of the first device.
    pub first: u64,
    pub span: Duration,
    /// Messages a second; none: as fast as they are answered.
    pub rate: Option<u32>,
}

/// What came of it: the row, with the rate as its value, and the 99th percentile in milliseconds.
pub fn talk(served: &Served, talk: &Talk) -> Outcome<(Measured, f64)> {
    let mut command = Command::new("timeout");
    let seconds = talk.span.as_secs();
    command.arg((seconds + 180).to_string()).arg(program()).args(["load", "--message", talk.message]);
    command.args(who(served, talk.devices, talk.first)).args(["--seconds", &seconds.to_string()]);
    if let Some(rate) = talk.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    let (before, load, begun) = (used(served.id)?, children(), Instant::now());
    let said = output(&mut command)?;
    let (used, load, whole) = (used(served.id)? - before, children() - load, begun.elapsed().as_secs_f64());
    let [count, seconds, half, most, last] = numbers(&said)?;
    if count == 0.0 {
        return fail("no message was acknowledged");
    }
    let rate = count / seconds;
    let latency = format!("{:.1} / {:.1} / {:.1} ms", half / 1e3, most / 1e3, last / 1e3);
    let mut measured = Measured::new(rate, format!("{rate:.0} a second"));
    measured.latency = latency;
    // The devices' coming is in what was used, and is little beside what they say.
    (measured.count, measured.used) = (count, Some(used));
    measured.shares = Some((used.cpu / whole, load / whole));
    Ok((measured, most / 1e3))
}

/// Clients that fetch ranges: megabytes, and seconds.
pub fn download(words: &[String], clients: u64, range: u64, span: Duration) -> Outcome<(f64, f64)> {
    let mut command = Command::new("timeout");
    command.arg((span.as_secs() + 180).to_string()).arg(program()).arg("download").args(words);
    command.args(["--range", &range.to_string(), "--seconds", &span.as_secs().to_string()]);
    command.args(["--devices", &clients.to_string()]);
    let [bytes, seconds] = numbers(&output(&mut command)?)?;
    Ok((bytes / 1e6, seconds))
}

/// Where each device downloads what it was offered.
pub fn offered(center: &Center, first: u64) -> Vec<String> {
    let mut words = who(&center.served, 1, first);
    // How many they are is said by the row.
    if let Some(at) = words.iter().position(|word| word == "--devices") {
        words.drain(at..at + 2);
    }
    words
}

/// The same for an address.
pub fn at(url: &str, size: usize) -> Vec<String> {
    let words =
        ["--url", url, "--server", "127.0.0.1:1", "--product-key", PRODUCT, "--product-secret", SECRET];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend(["--size".into(), size.to_string()]);
    words
}

/// A fleet that lives in the background.
pub struct Fleet {
    fleet: Background,
    input: Option<std::process::ChildStdin>,
}

/// How long all devices took to be online.
pub struct Arrival {
    pub seconds: f64,
    pub refused: f64,
    pub refused_twice: f64,
    pub latency: String,
}

impl Fleet {
    /// Devices that connect at once and stay.
    pub fn stay(center: &Center, devices: u64, first: u64, more: &[&str]) -> Outcome<Fleet> {
        Self::start(center, devices, first, &[&["stay", "--within", "900"], more].concat())
    }

    /// Devices that live a whole life.
    pub fn run(center: &Center, devices: u64, more: &[&str]) -> Outcome<Fleet> {
        Self::start(center, devices, 0, &[&["run"], more].concat())
    }

    fn start(center: &Center, devices: u64, first: u64, words: &[&str]) -> Outcome<Fleet> {
        let (fleet, input) = Background::start_and_talk(&program(), "KILL", |command| {
            command.args(words).args(who(&center.served, devices, first)).stdin(Stdio::piped());
        })?;
        Ok(Fleet { fleet, input })
    }

    pub fn id(&self) -> u32 {
        self.fleet.id()
    }

    pub fn order(&mut self, order: &str) -> Outcome {
        use std::io::Write;
        let input = self.input.as_mut().ok_or("the fleet takes no orders")?;
        writeln!(input, "{order}").map_err(|error| format!("the fleet: {error}"))
    }

    /// The rest of the next line that begins so.
    pub fn said(&self, start: &str, within: Duration) -> Outcome<String> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.fleet.line(left)? {
                Some(line) => {
                    if let Some(rest) = line.strip_prefix(start) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                None => return fail("the fleet ended; its error is above"),
            }
        }
    }

    /// Waits until all devices are online.
    pub fn arrived(&self, within: Duration) -> Outcome<Arrival> {
        let [seconds, refused, refused_twice, half, most, last] = numbers(&self.said("online", within)?)?;
        let latency = format!("{:.1} / {:.1} / {:.1} s", half / 1e6, most / 1e6, last / 1e6);
        Ok(Arrival { seconds, refused, refused_twice, latency })
    }

    /// Offers since it was asked last: how many, and when the first and the last came, in milliseconds since 1970.
    pub fn offers(&mut self) -> Outcome<[f64; 3]> {
        self.order("offers")?;
        numbers(&self.said("offers", Duration::from_secs(30))?)
    }

    pub fn finish(self) -> Outcome {
        self.fleet.finish()
    }

    pub fn kill(self) -> Outcome {
        self.fleet.kill()
    }
}
