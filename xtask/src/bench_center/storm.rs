//! Eighteen thousand sessions: all of them connect, drop and come back at once, and are there when the center is killed.

use std::time::Duration;

use super::center::{Center, IMAGE};
use super::load::{Arrival, Fleet};
use super::{Bench, Measured, Target};
use crate::process::Outcome;

const WITHIN: Duration = Duration::from_secs(240);
/// What connects anew needs a port that no connection of the last minute had: 18,000 and as many are more than one has.
const ADDRESSES: &str = "16";
/// The center gives memory back, if it does, some time after a storm.
const CALM: Duration = Duration::from_secs(10);

impl Bench {
    fn storm(
        &mut self,
        center: &Center,
        name: String,
        arrive: impl FnOnce() -> Outcome<(Arrival, f64)>,
        sessions: u64,
    ) {
        let mut twice = None;
        self.row(name, Target::AtMost(20.0, " s"), || {
            let before = center.used()?;
            let (arrival, load) = arrive()?;
            let used = center.used()? - before;
            let mut measured = Measured::new(
                arrival.seconds,
                format!("{:.1} s, {:.0} tries refused", arrival.seconds, arrival.refused),
            );
            (measured.count, measured.used) = (sessions as f64, Some(used));
            measured.shares = Some((used.cpu / arrival.seconds, load / arrival.seconds));
            measured.latency = arrival.latency;
            twice = Some(arrival.refused_twice);
            Ok(measured)
        });
        if let Some(twice) = twice {
            self.row("  devices refused twice", Target::AtMost(0.0, ""), || {
                Ok(Measured::new(twice, format!("{twice:.0}")))
            });
        }
    }
}

pub fn measure(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let sessions = bench.size(18_000, 1_000);
    let data = folder.join("storm");
    let center = Center::start(&data)?;
    center.product(&folder, &["MCU"], "2", IMAGE)?;
    std::thread::sleep(Duration::from_secs(2));
    let empty = center.memory()?;
    let mut fleet = None;
    bench.storm(
        &center,
        format!("{sessions} sessions connect, all new"),
        || {
            let fleet = fleet.insert(Fleet::stay(&center, sessions, 0, &["--addresses", ADDRESSES])?);
            let arrival = fleet.arrived(WITHIN)?;
            Ok((arrival, super::center::used(fleet.id())?.cpu))
        },
        sessions,
    );
    let Some(mut fleet) = fleet else { return Ok(()) };
    std::thread::sleep(CALM);
    let each = |center: &Center| Ok::<f64, String>((center.memory()? - empty) / sessions as f64);
    bench.row("memory of an idle session", Target::AtMost(4.0, " KB"), || {
        let each = each(&center)?;
        Ok(Measured::new(each, format!("{each:.1} KB")))
    });
    bench.storm(
        &center,
        format!("{sessions} drop and come back at once"),
        || {
            let before = super::center::used(fleet.id())?.cpu;
            fleet.order("drop")?;
            let arrival = fleet.arrived(WITHIN)?;
            Ok((arrival, super::center::used(fleet.id())?.cpu - before))
        },
        sessions,
    );
    std::thread::sleep(CALM);
    bench.row("  the same after the storm", Target::AtMost(4.0, " KB"), || {
        let each = each(&center)?;
        Ok(Measured::new(each, format!("{each:.1} KB")))
    });
    center.kill()?;
    fleet.kill()?;
    bench.row(format!("start after a kill with {sessions} sessions open"), Target::AtMost(2.0, " s"), || {
        let center = Center::start(&data)?;
        let took = center.started.as_secs_f64();
        center.stop();
        Ok(Measured::seconds(took))
    });
    Ok(())
}
