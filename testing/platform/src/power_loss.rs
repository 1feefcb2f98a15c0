//! Power cuts in whole upgrades: power goes at given storage operations, and [`crate::scenario`] says what must hold after
//! each cut and at the end.
//!
//! A case is a scenario and its cuts, and its [`Case::id`] replays it: `pieces-ff4:57b,93u12` is the scenario `pieces` on
//! flash that erases to FF with a program size of 4, power going before operation 57, and again in operation 93 after
//! 12 bytes, with unstable bits behind them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;

use quecota_core::journal::{Journal, Saved};
use quecota_core::platform::{Area, Storage};

use crate::flash::{Cut, How, Operation, Rot, SimFlash, Torn, Unsynced};
use crate::hardware::{Hardware, Mutant};
use crate::scenario::{Broken, Checked, Device, Scenario, Stopped, Upgrade, broken};

/// Cuts of one case that are counted apart; deeper ones are counted with the deepest.
pub const DEPTHS: usize = 12;

/// A scenario and its cuts; operations are counted from the device's first start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What is done.
    pub scenario: Scenario,
    /// When power goes, in order.
    pub cuts: Vec<Cut>,
}

/// What was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases, by the number of their cuts less one.
    pub cases: [u64; DEPTHS],
    /// Starts after a cut.
    pub reboots: u64,
    /// Storage operations.
    pub operations: u64,
    /// Cases in which the upgrade failed again and again, each time with a reason.
    pub given_up: u64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Tally) {
        for (sum, more) in self.cases.iter_mut().zip(other.cases) {
            *sum += more;
        }
        self.reboots += other.reboots;
        self.operations += other.operations;
        self.given_up += other.given_up;
    }

    /// Cases in all.
    pub fn all_cases(&self) -> u64 {
        self.cases.iter().sum()
    }

    fn count(&mut self, cuts: usize) {
        self.cases[cuts.clamp(1, DEPTHS) - 1] += 1;
    }
}

/// What the journal holds, as a reboot would find it.
fn view(flash: &SimFlash, planted: Option<Mutant>) -> Checked<Saved> {
    let mut board = Hardware::power_on(flash.clone(), "", planted);
    let mut saved = Saved::default();
    match Journal::open(&mut board, &mut saved) {
        Ok(_) => Ok(saved),
        Err(error) => broken(format!("the journal does not open: {error}")),
    }
}

/// The operations of a run, and what the journal held before each of them.
struct Trace {
    planted: Option<Mutant>,
    first: u64,
    operations: Vec<Operation>,
    /// One more than there are operations. A journal with nothing in it is no record that a cut may leave, so what was
    /// there before counts as long as it has nothing.
    views: Vec<Arc<Saved>>,
}

impl Trace {
    /// Runs `device` to the end.
    fn of(device: &Device) -> Checked<Self> {
        let planted = device.scenario.planted;
        let mut device = device.clone();
        let mut replayed = device.flash.clone();
        replayed.reboot();
        device.flash.start_log();
        let first = device.flash.counters().operations;
        device.finish()?;
        let operations = device.flash.operation_log().to_vec();
        let mut now = Arc::new(view(&replayed, planted)?);
        let mut views = vec![Arc::clone(&now)];
        for operation in &operations {
            let outcome = match operation {
                Operation::Write(area, offset, data) => replayed.write(*area, *offset, data),
                Operation::Erase(area, offset, length) => replayed.erase(*area, *offset, *length),
                Operation::Sync(area) => replayed.sync(*area),
            };
            if outcome.is_err() {
                return broken("the trace does not replay");
            }
            if area_of(operation) == Area::Journal {
                let saved = view(&replayed, planted)?;
                if saved != *now && saved != Saved::default() {
                    now = Arc::new(saved);
                }
            }
            views.push(Arc::clone(&now));
        }
        Ok(Trace { planted, first, operations, views })
    }

    fn cut(&self, at: usize, how: How) -> Cut {
        Cut { operation: self.first + at as u64, how }
    }

    /// A cut in this operation leaves the record before it, or the one that it leads to.
    fn check_journal(&self, at: usize, flash: &SimFlash) -> Checked {
        let found = view(flash, self.planted)?;
        let old = &self.views[at];
        let new = self.views[at..].iter().find(|saved| !Arc::ptr_eq(saved, old));
        if found == **old || new.is_some_and(|new| found == **new) {
            return Ok(());
        }
        let Saved { configuration, progress, reports } = found;
        broken(format!(
            "the journal has neither the old record nor the new one, but product {:?}, MCUs {:?}, offset {:?}, {} reports",
            configuration.product_key.as_str(),
            configuration.mcu_list.as_str(),
            progress.map(|progress| progress.offset),
            reports.len(),
        ))
    }
}

fn area_of(operation: &Operation) -> Area {
    let (Operation::Write(area, ..) | Operation::Erase(area, ..) | Operation::Sync(area)) = operation;
    *area
}

/// How finely operations are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grain {
    /// Where inside an operation.
    pub places: Places,
    /// What is left behind the bytes that are done.
    pub tears: Tears,
}

/// Where inside an operation power goes; before and after it always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// Every byte of journal writes; four places of a payload write, and of each block of an erase.
    Bytes,
    /// Once in the middle.
    Middle,
}

/// Which of the ways to tear are tried at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tears {
    /// Each.
    All,
    /// One, in turn.
    InTurn,
}

impl Grain {
    /// Before, in the middle of and after each operation.
    pub const MIDDLE: Grain = Grain { places: Places::Middle, tears: Tears::InTurn };
    /// The same, with every way to tear.
    pub const MIDDLE_ALL: Grain = Grain { places: Places::Middle, tears: Tears::All };
    /// Every byte.
    pub const BYTES: Grain = Grain { places: Places::Bytes, tears: Tears::InTurn };
    /// Every byte, with every way to tear.
    pub const BYTES_ALL: Grain = Grain { places: Places::Bytes, tears: Tears::All };

    /// The places in an operation where power goes.
    fn cuts(self, operation: &Operation, number: u64, block: u32) -> Vec<(u32, Torn)> {
        let bytes: Vec<u32> = match (operation, self.places) {
            (Operation::Sync(_), _) => Vec::new(),
            (Operation::Write(_, _, data), Places::Middle) => vec![data.len() as u32 / 2],
            (Operation::Erase(_, _, length), Places::Middle) => vec![length / 2],
            // A start that leaves no byte may still touch the first unit.
            (Operation::Write(Area::Journal, _, data), Places::Bytes) => (0..data.len() as u32).collect(),
            (Operation::Write(Area::Image, _, data), Places::Bytes) => {
                let length = data.len() as u32;
                vec![0, 1, length / 2, length - 1]
            }
            (Operation::Erase(_, _, length), Places::Bytes) => {
                let starts = (0..*length).step_by(block as usize);
                starts.flat_map(|start| [0, 1, block / 2, block - 1].map(|at| start + at)).collect()
            }
        };
        let ways = |at: u32| {
            [Torn::Unseen, Torn::Unstable, Torn::Scattered(number * 1000 + u64::from(at)), Torn::Marginal]
        };
        let turn = |at: u32| ways(at)[(u64::from(at) + number) as usize % 4];
        match self.tears {
            Tears::All => bytes.into_iter().flat_map(|at| ways(at).map(|torn| (at, torn))).collect(),
            Tears::InTurn => bytes.into_iter().map(|at| (at, turn(at))).collect(),
        }
    }
}

/// A sweep over cuts: what was tried and the first cases that broke.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// What was tried.
    pub tally: Tally,
    /// Case ids, and what did not hold.
    pub broken: Vec<(String, Broken)>,
    /// Cases that break are collected up to this many, then the sweep ends.
    pub most_broken: usize,
}

impl Sweep {
    /// Ends after `most_broken` cases that broke.
    pub fn new(most_broken: usize) -> Self {
        Sweep { most_broken, ..Sweep::default() }
    }

    /// Whether it ended early.
    pub fn is_over(&self) -> bool {
        self.broken.len() >= self.most_broken
    }

    fn note(&mut self, case: Case, outcome: Checked) {
        self.tally.count(case.cuts.len());
        if let Err(broken) = outcome {
            self.broken.push((case.id(), broken));
        }
    }

    /// Ends a case whose power just went.
    fn conclude(&mut self, case: Case, trace: Option<(&Trace, usize)>, mut device: Device) {
        let starts = device.starts;
        let operations = device.flash.counters().operations;
        let outcome = guarded(|| {
            if let Some((trace, at)) = trace {
                trace.check_journal(at, &device.flash)?;
            }
            device.finish()
        });
        self.tally.reboots += device.starts - starts;
        self.tally.operations += device.flash.counters().operations.saturating_sub(operations);
        self.note(case, outcome);
    }

    /// One cut at every operation, as finely as `grain` says.
    pub fn one_cut(&mut self, scenario: Scenario, grain: Grain) {
        let start = Device::new(scenario);
        self.cut_everywhere(&start, &[], grain, |_, _, _| {});
    }

    /// Two cuts: at every operation, and then at every operation of the run that follows. Exhaustive, as finely as the
    /// grains say.
    pub fn two_cuts(&mut self, scenario: Scenario, first: Grain, second: Grain) {
        let start = Device::new(scenario);
        self.cut_everywhere(&start, &[], first, |sweep, case, device| {
            sweep.cut_everywhere(device, &case.cuts, second, |_, _, _| {});
        });
    }

    /// Power goes before every `step`th operation, and while it is off one of `rots` happens.
    pub fn rot(&mut self, scenario: Scenario, step: usize, rots: impl Fn(&Device) -> Vec<Rot>) {
        let start = Device::new(scenario);
        let trace = match guarded(|| Trace::of(&start)) {
            Ok(trace) => trace,
            Err(broken) => return self.note(Case { scenario, cuts: Vec::new() }, Err(broken)),
        };
        for at in spread(trace.operations.len()).filter(|at| at.is_multiple_of(step)) {
            let cut = trace.cut(at, How::Before);
            let case = |cut| Case { scenario, cuts: vec![cut] };
            let Some(off) = self.run_to(&start, cut, &case) else { continue };
            for rot in rots(&off) {
                if self.is_over() {
                    return;
                }
                let mut device = off.clone();
                device.rot(rot);
                self.conclude(Case { scenario: device.scenario, cuts: vec![cut] }, None, device);
            }
        }
    }

    /// Cuts the run of `start` at every operation and ends each case; `deeper` gets each device without power.
    fn cut_everywhere(
        &mut self,
        start: &Device,
        before: &[Cut],
        grain: Grain,
        mut deeper: impl FnMut(&mut Self, &Case, &Device),
    ) {
        let scenario = start.scenario;
        let case = |cut: Cut| Case { scenario, cuts: before.iter().copied().chain([cut]).collect() };
        let trace = match guarded(|| Trace::of(start)) {
            Ok(trace) => trace,
            // The run without a further cut is a case of its own, and was noted as one.
            Err(_) if !before.is_empty() => return,
            Err(broken) => {
                return self.note(Case { scenario, cuts: before.to_vec() }, Err(broken));
            }
        };
        // With unstable bits a second look may find the new record where the first found the old one; and what a cache
        // loses the trace does not know.
        let steady = |cut: &Cut| !matches!(cut.how, How::During { torn, .. } if torn != Torn::Unseen);
        let raw = scenario.unsynced == Unsynced::Kept;
        let checked = raw && before.iter().all(steady);
        for at in spread(trace.operations.len()) {
            let Some(operation) = trace.operations.get(at) else { continue };
            if self.is_over() {
                return;
            }
            let journal = checked.then_some((&trace, at));
            let Some(off) = self.run_to(start, trace.cut(at, How::Before), &case) else { continue };
            let block = off.flash.geometry(area_of(operation)).erase;
            let mut cuts = vec![trace.cut(at, How::Before)];
            let torn = grain.cuts(operation, cuts[0].operation, block);
            cuts.extend(torn.into_iter().map(|(bytes, torn)| trace.cut(at, How::During { bytes, torn })));
            cuts.push(trace.cut(at, How::After));
            for cut in cuts {
                if self.is_over() {
                    return;
                }
                // One run up to the operation serves every way to cut it: without power nobody learns how it went.
                let mut device = off.clone();
                match cut.how {
                    How::Before => {}
                    How::During { bytes, torn } => device.flash.tear(operation, bytes, torn),
                    How::After if raw => device.flash.complete(operation),
                    How::After => match self.run_to(start, cut, &case) {
                        Some(run) => device = run,
                        None => continue,
                    },
                }
                let case = case(cut);
                deeper(self, &case, &device);
                self.conclude(case, journal, device);
            }
        }
    }

    /// A device that lost power at `cut`. `None`: it broke before, and that is noted.
    fn run_to(&mut self, start: &Device, cut: Cut, case: &impl Fn(Cut) -> Case) -> Option<Device> {
        let mut device = start.clone();
        let operations = device.flash.counters().operations;
        let outcome = guarded(|| device.run(Some(cut)));
        self.tally.operations += device.flash.counters().operations.saturating_sub(operations);
        let outcome = match outcome {
            Ok(Stopped::Off) => return Some(device),
            Ok(_) => broken("the run did not come to the cut"),
            Err(broken) => Err(broken),
        };
        self.note(case(cut), outcome);
        None
    }

    /// Up to `most` cuts per upgrade, all by the seed.
    pub fn seeded(&mut self, scenario: Scenario, seed: u64, most: u64) {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut cuts = Vec::new();
        let mut next = 0;
        for _ in 0..=random(most) {
            next += 1 + random(120);
            let torn = match random(4) {
                0 => Torn::Unseen,
                1 => Torn::Unstable,
                2 => Torn::Marginal,
                _ => Torn::Scattered(next),
            };
            let how = match random(4) {
                0 => How::Before,
                1 => How::After,
                _ => How::During { bytes: random(256) as u32, torn },
            };
            cuts.push(Cut { operation: next, how });
        }
        let case = Case { scenario, cuts };
        let (outcome, tally) = case.run();
        self.tally.add(tally);
        if let Err(broken) = outcome {
            self.broken.push((case.id(), broken));
        }
    }
}

/// All of `0..count`, in an order that is everywhere soon: what breaks early or late only is found early all the same.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    // Coprime to every count below it; near the golden section of the counts that there are.
    const STEP: usize = 7_919;
    (0..count).map(move |step| step * STEP % count)
}

/// A panic of the agent is a broken case like another.
fn guarded<T>(run: impl FnOnce() -> Checked<T>) -> Checked<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| broken("a panic"))
}

impl Case {
    /// Runs it; a cut at an operation that the upgrade does not come to is none.
    pub fn run(&self) -> (Checked, Tally) {
        let mut device = Device::new(self.scenario);
        let outcome = guarded(|| {
            for cut in &self.cuts {
                if device.run(Some(*cut))? != Stopped::Off {
                    break;
                }
            }
            device.finish()
        });
        let operations = device.flash.counters().operations;
        let mut tally = Tally { reboots: device.starts.saturating_sub(1), operations, ..Tally::default() };
        tally.count(device.cuts as usize);
        tally.given_up = device.is_given_up().into();
        (outcome, tally)
    }

    /// Names the case.
    pub fn id(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { upgrade, erased, program, unsynced, planted, faults, rot } = self.scenario;
        let upgrade = match upgrade {
            Upgrade::Pieces => "pieces",
            Upgrade::Marked => "marked",
            Upgrade::Whole => "whole",
            Upgrade::Module => "module",
            Upgrade::Package => "package",
            Upgrade::Corrupt => "corrupt",
            Upgrade::Brief => "brief",
            Upgrade::Loop => "loop",
        };
        write!(f, "{upgrade}-{erased:02x}{program}")?;
        match unsynced {
            Unsynced::Kept => {}
            Unsynced::Lost => f.write_str("-lost")?,
            Unsynced::Scattered(seed) => write!(f, "-cache{seed}")?,
        }
        match planted {
            None => {}
            Some(Mutant::NoCrc) => f.write_str("-nocrc")?,
            Some(Mutant::OneSlot) => f.write_str("-oneslot")?,
            Some(Mutant::ProgressBeforeData) => f.write_str("-early")?,
            Some(Mutant::MarkBeforeData) => f.write_str("-hasty")?,
            Some(Mutant::NoSeal) => f.write_str("-noseal")?,
            Some(Mutant::UncheckedDigest) => f.write_str("-unchecked")?,
            Some(Mutant::TrustedOffset) => f.write_str("-trusted")?,
        }
        if let Some(Rot { area, offset, bits }) = rot {
            let area = if area == Area::Image { 'i' } else { 'j' };
            match bits {
                Some(bits) => write!(f, "-rot{area}{offset}.{bits}")?,
                None => write!(f, "-rot{area}{offset}")?,
            }
        }
        if let Some(seed) = faults {
            write!(f, "-faults{seed}")?;
        }
        for (at, Cut { operation, how }) in self.cuts.iter().enumerate() {
            write!(f, "{}{operation}", if at == 0 { ':' } else { ',' })?;
            match how {
                How::Before => f.write_str("b")?,
                How::After => f.write_str("a")?,
                How::During { bytes, torn: Torn::Unseen } => write!(f, "d{bytes}")?,
                How::During { bytes, torn: Torn::Unstable } => write!(f, "u{bytes}")?,
                How::During { bytes, torn: Torn::Marginal } => write!(f, "m{bytes}")?,
                How::During { bytes, torn: Torn::Scattered(seed) } => write!(f, "s{bytes}.{seed}")?,
            }
        }
        Ok(())
    }
}

/// A text that names no case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCase(pub String);

impl FromStr for Case {
    type Err = NoCase;

    fn from_str(id: &str) -> Result<Self, NoCase> {
        parse(id).ok_or_else(|| NoCase(id.into()))
    }
}

fn parse(id: &str) -> Option<Case> {
    let (scenario, cuts) = id.split_once(':').unwrap_or((id, ""));
    let mut parts = scenario.split('-');
    let upgrade = match parts.next()? {
        "pieces" => Upgrade::Pieces,
        "marked" => Upgrade::Marked,
        "whole" => Upgrade::Whole,
        "module" => Upgrade::Module,
        "package" => Upgrade::Package,
        "corrupt" => Upgrade::Corrupt,
        "brief" => Upgrade::Brief,
        "loop" => Upgrade::Loop,
        _ => return None,
    };
    let (erased, program) = parts.next()?.split_at_checked(2)?;
    let mut scenario = Scenario::new(upgrade, u8::from_str_radix(erased, 16).ok()?, program.parse().ok()?);
    for part in parts {
        match part {
            "lost" => scenario.unsynced = Unsynced::Lost,
            "nocrc" => scenario.planted = Some(Mutant::NoCrc),
            "oneslot" => scenario.planted = Some(Mutant::OneSlot),
            "early" => scenario.planted = Some(Mutant::ProgressBeforeData),
            "hasty" => scenario.planted = Some(Mutant::MarkBeforeData),
            "noseal" => scenario.planted = Some(Mutant::NoSeal),
            "unchecked" => scenario.planted = Some(Mutant::UncheckedDigest),
            "trusted" => scenario.planted = Some(Mutant::TrustedOffset),
            rot if rot.starts_with("rot") => scenario.rot = Some(parse_rot(rot.strip_prefix("rot")?)?),
            faults if faults.starts_with("faults") => {
                scenario.faults = Some(faults.strip_prefix("faults")?.parse().ok()?);
            }
            cache => scenario.unsynced = Unsynced::Scattered(cache.strip_prefix("cache")?.parse().ok()?),
        }
    }
    let cuts = cuts.split(',').filter(|cut| !cut.is_empty()).map(parse_cut).collect::<Option<Vec<_>>>()?;
    Some(Case { scenario, cuts })
}

/// `i123.4`: bit 2 of byte 123 of the image area flips; `j1024`: the block of the journal with that byte is erased.
fn parse_rot(text: &str) -> Option<Rot> {
    let (area, place) = text.split_at_checked(1)?;
    let area = match area {
        "i" => Area::Image,
        "j" => Area::Journal,
        _ => return None,
    };
    let (offset, bits) = match place.split_once('.') {
        Some((offset, bits)) => (offset, Some(bits.parse().ok()?)),
        None => (place, None),
    };
    Some(Rot { area, offset: offset.parse().ok()?, bits })
}

fn parse_cut(text: &str) -> Option<Cut> {
    let (operation, how) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let (way, rest) = how.split_at_checked(1)?;
    let how = match way {
        "b" => How::Before,
        "a" => How::After,
        "d" => How::During { bytes: rest.parse().ok()?, torn: Torn::Unseen },
        "u" => How::During { bytes: rest.parse().ok()?, torn: Torn::Unstable },
        "m" => How::During { bytes: rest.parse().ok()?, torn: Torn::Marginal },
        "s" => {
            let (bytes, seed) = rest.split_once('.')?;
            How::During { bytes: bytes.parse().ok()?, torn: Torn::Scattered(seed.parse().ok()?) }
        }
        _ => return None,
    };
    Some(Cut { operation: operation.parse().ok()?, how })
}
