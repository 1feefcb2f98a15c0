//! A plan of ten thousand devices, each with an image of ten kilobytes, over real MQTT and HTTP: the time from its activation
//! until the last device says that it is upgraded, and what that cost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::center::{Center, IMAGE, used};
use super::load::Fleet;
use super::{Bench, Measured, Target};
use crate::process::{Outcome, fail};

/// The whole part takes no longer.
const WITHIN: Duration = Duration::from_secs(300);

pub fn measure(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let devices = bench.size(10_000, 500);
    let center = Center::start(&folder.join("plan"))?;
    let choices = center.product(&folder, &["MCU"], "2", IMAGE)?;
    let records = folder.join("plan-records");
    let (path, seconds) = (records.display().to_string(), WITHIN.as_secs().to_string());
    let fleet = Fleet::run(&center, devices, &["--within", &seconds, "--records", &path])?;
    fleet.said("all online", WITHIN)?;
    let plan = center.plan("ten thousand", &choices[0], &["--first-push", "at_once"])?;
    let (before, load, begun) = (center.used()?, used(fleet.id())?, Instant::now());
    center.run(&["plan", "activate", &plan])?;
    let done = fleet.said("done", WITHIN);
    let took = begun.elapsed().as_secs_f64();
    let cost = center.used()? - before;
    let load = used(fleet.id()).unwrap_or(load).cpu - load.cpu;
    // It ends by itself once it has written its records; a fleet that failed has said so in its last line.
    let done = match done {
        Ok(done) => done,
        Err(why) => {
            fleet.kill()?;
            return fail(why);
        }
    };
    let numbers: Vec<f64> = done.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [upgraded, lost, refused, ..] = numbers[..] else { return fail(format!("fleet said `done {done}`")) };
    // Those that are not upgraded are a row of their own.
    let _ = fleet.finish();
    let name = format!("a plan of {devices} devices, 10 KB each, all at once");
    bench.row(name, Target::AtMost(60.0, " s"), || {
        let mut measured = Measured::seconds(took);
        (measured.count, measured.used) = (devices as f64, Some(cost));
        measured.shares = Some((cost.cpu / took, load / took));
        Ok(measured)
    });
    let gigabytes = cost.written / 1e9;
    bench.row("  written", Target::AtMost(1.0, " GB"), || {
        Ok(Measured::new(gigabytes, format!("{gigabytes:.2} GB")))
    });
    bench.row("  lost connections", Target::AtMost(0.0, ""), || {
        Ok(Measured::new(lost, format!("{lost:.0}; {refused:.0} tries to connect refused")))
    });
    bench.row("  devices whose state is wrong", Target::AtMost(0.0, ""), || {
        let wrong = wrong_states(&center, &plan, &records)?;
        Ok(Measured::new(wrong as f64, format!("{wrong}, {upgraded:.0} upgraded")))
    });
    center.stop();
    Ok(())
}

/// Devices that are something else for the center than for themselves, or are not upgraded.
fn wrong_states(center: &Center, plan: &str, records: &std::path::Path) -> Outcome<usize> {
    let text = std::fs::read_to_string(records).map_err(|error| format!("{}: {error}", records.display()))?;
    let csv =
        String::from_utf8_lossy(&center.ask("GET", &format!("plans/{plan}/devices.csv"), "")?).into_owned();
    // A row holds the key in its first column, and the state as a cell of its own.
    let seen: BTreeMap<&str, bool> = csv
        .lines()
        .filter_map(|line| {
            let (key, rest) = line.split_once(',')?;
            Some((key, rest.split(',').any(|cell| cell == "upgraded")))
        })
        .collect();
    let is_right = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        matches!(cells[..], [key, _, _, "MCU:2", "upgraded", ..] if seen.get(key) == Some(&true))
    };
    Ok(text.lines().filter(|line| !is_right(line)).count())
}
