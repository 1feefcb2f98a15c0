//! Ten thousand devices online: what a 10-minute mark costs, and how soon a plan that is offered at once reaches the last of
//! them. The wall clock of the center is moved by a shim, so that nobody waits for marks.

use std::io::{Seek, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::center::{Center, IMAGE, Used};
use super::load::Fleet;
use super::messages::shim;
use super::{Bench, Measured, Target};
use crate::process::Outcome;

const MARK: u64 = 600;
/// A mark's push goes on for some minutes; here each step of the clock takes a second.
const STEP: i64 = 10;
/// How long it is watched what the center does anyway.
const WATCH: Duration = Duration::from_secs(8);
/// What came before is over by then, and its pages are written.
const SETTLED: Duration = Duration::from_secs(15);
/// Devices that come online at once are all there by then.
const ONLINE: Duration = Duration::from_secs(180);

/// The clock of the center.
struct AheadClock {
    file: std::fs::File,
    seconds: i64,
}

impl AheadClock {
    fn at(path: &PathBuf) -> Outcome<AheadClock> {
        let file = std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut clock = AheadClock { file, seconds: 0 };
        clock.advance(0)?;
        Ok(clock)
    }

    fn advance(&mut self, seconds: i64) -> Outcome {
        self.seconds += seconds;
        let written = self.file.rewind().and_then(|()| self.file.write_all(&self.seconds.to_ne_bytes()));
        written.map_err(|error| format!("the clock's file: {error}"))
    }

    /// To a second after the next mark.
    fn advance_to_mark(&mut self) -> Outcome {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = now.saturating_add_signed(self.seconds);
        self.advance(i64::try_from(MARK - now % MARK).unwrap_or_default() + 1)
    }
}

/// What one mark costs beyond what the center does anyway, for each device.
fn mark(center: &Center, clock: &mut AheadClock, devices: u64) -> Outcome<Measured> {
    // The push of so many devices aims at fifty a second.
    let steps = i64::try_from(devices / 50).unwrap_or(i64::MAX).min(600) / STEP + 3;
    let before = center.used()?;
    std::thread::sleep(WATCH);
    let anyway = center.used()? - before;
    let times = steps as f64 / WATCH.as_secs_f64();
    let anyway =
        Used { cpu: anyway.cpu * times, written: anyway.written * times, switches: anyway.switches * times };
    clock.advance_to_mark()?;
    let before = center.used()?;
    for _ in 0..steps {
        std::thread::sleep(Duration::from_secs(1));
        clock.advance(STEP)?;
    }
    let cost = center.used()? - before - anyway;
    let each = cost.cpu * 1e3 / devices as f64;
    let mut measured = Measured::new(each, format!("{each:.3} ms of CPU for each device"));
    (measured.count, measured.used) = (devices as f64, Some(cost));
    Ok(measured)
}

impl Bench {
    fn mark(
        &mut self,
        name: &str,
        center: &Center,
        clock: &mut AheadClock,
        most: f64,
        kilobytes: Option<f64>,
    ) {
        let devices = self.size(10_000, 500);
        let measured = self.row(name, Target::AtMost(most, " ms"), || mark(center, clock, devices));
        if let (Some(kilobytes), Some(Measured { used: Some(used), count, .. })) = (kilobytes, measured) {
            let each = used.written / count / 1e3;
            self.row("  written for each", Target::AtMost(kilobytes, " KB"), || {
                Ok(Measured::new(each, format!("{each:.2} KB")))
            });
        }
    }
}

pub fn measure(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let devices = bench.size(10_000, 500);
    let (shim, file) = (shim(&folder)?, folder.join("clock"));
    let mut clock = AheadClock::at(&file)?;
    let center = Center::start_with(&folder.join("marks"), |command| {
        command.env("LD_PRELOAD", shim).env("QUECOTA_BENCH_CLOCK", &file);
    })?;
    let choices = center.product(&folder, &["MCU", "SIDE", "OTHER"], "2", IMAGE)?;
    let mix = folder.join("marks-mix");
    std::fs::write(&mix, "component MCU 1\ncomponent SIDE 1\n")
        .map_err(|error| format!("{}: {error}", mix.display()))?;
    let mut fleet = Fleet::stay(&center, devices, 0, &["--reports", "--fleet", &mix.display().to_string()])?;
    fleet.arrived(ONLINE)?;

    let name = format!("activation to the last offer, at once, {devices} online");
    bench.row(name, Target::AtMost(10.0, " s"), || {
        let plan = center.plan("side", &choices[1], &["--first-push", "at_once"])?;
        fleet.offers()?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        center.run(&["plan", "activate", &plan])?;
        let (mut seen, mut quiet) = (0.0, 0);
        let mut last = begun;
        // Until all were offered it, or nobody was for ten seconds.
        while seen < devices as f64 && quiet < 10 {
            std::thread::sleep(Duration::from_secs(1));
            let [count, _, newest] = fleet.offers()?;
            seen += count;
            quiet = if count > 0.0 { 0 } else { quiet + 1 };
            if count > 0.0 {
                last = newest / 1e3;
            }
        }
        center.run(&["plan", "terminate", &plan])?;
        if seen < devices as f64 {
            return Err(format!("only {seen:.0} of {devices} devices were offered it"));
        }
        Ok(Measured::seconds(last - begun))
    });
    center.active("other 1", &choices[2], &[])?;
    std::thread::sleep(SETTLED);
    bench.mark("a mark, nothing to offer", &center, &mut clock, 0.05, Some(1.0));
    for plan in 2..=5 {
        center.active(&format!("other {plan}"), &choices[2], &[])?;
    }
    // As with one plan: 0.05 ms.
    bench.mark("a mark, 5 plans in which nothing is due", &center, &mut clock, 0.05, None);
    fleet.offers()?;
    center.active("all", &choices[0], &[])?;
    bench.mark("a mark, an offer each", &center, &mut clock, 0.4, Some(8.0));
    bench.row("  devices that were offered it", Target::AtLeast(devices as f64, ""), || {
        let [count, ..] = fleet.offers()?;
        Ok(Measured::new(count, format!("{count:.0} of {devices}")))
    });
    fleet.kill()?;
    center.stop();
    Ok(())
}
