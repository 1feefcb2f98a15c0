//! Whole upgrades under power cuts: the real agent on a [`Board`], a scripted platform, server, application and MCU
//! around it, power that goes at given storage operations, and what must hold after each cut and at the end.
//!
//! A case is a scenario and its cuts, and its [`Case::id`] replays it: `pieces-ff4:57b,93u12` is the scenario `pieces` on
//! flash that erases to FF with a program size of 4, power going before operation 57, and again in operation 93 after
//! 12 bytes, with unstable bits behind them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;

use quecota_core::agent::{Agent, Event, EventValue, FetchEnd, FetchHead, Flow, Link, Mode};
use quecota_core::limits::{PROGRESS_INTERVAL, RECEIVE_BUFFER_MIN};
use quecota_core::ota::journal::{Journal, Saved};
use quecota_core::platform::{Area, Geometry, Range, Storage};
use quecota_core::wire::frame::{Frame, PacketId};
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Plan, PlanNotify, Plans, Provision, Uplink,
};

use crate::bench::{self, DEVICE_SECRET, PRODUCT_KEY, PRODUCT_SECRET, URL};
use crate::board::{Board, Planted};
use crate::flash::{Cut, How, Operation, SimFlash, Torn, Unsynced};
use crate::world::Asked;

/// Bytes per chunk of a body: no multiple of any program size.
const CHUNK: usize = 3_001;
/// Polls of one life, at most: an upgrade takes some fifty.
const STEPS: u32 = 5_000;
/// Milliseconds of one life, at most.
const LIFE: u32 = 2 * 60 * 60_000;
/// Bytes of the journal; two slots, of several erase blocks each.
const JOURNAL_BLOCK: u32 = 1024;

/// Which upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// An MCU image in three pieces, the first two of two intervals each. The platform offers at each connect.
    Pieces,
    /// An MCU image of two intervals that staging holds whole, on a device that was never on before. The platform does
    /// not offer again what the device confirmed.
    Whole,
    /// The same image as [`Upgrade::Pieces`], of which the application marks what it has, in mid-piece and at each end.
    Marked,
    /// Module firmware of two intervals, handed over, and judged after the module's own reboot.
    Module,
}

/// An upgrade on flash of some shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Which.
    pub upgrade: Upgrade,
    /// What an erased byte reads as.
    pub erased: u8,
    /// Program size of both areas.
    pub program: u32,
    /// What a cut makes of operations without a sync.
    pub unsynced: Unsynced,
    /// The bug, if any.
    pub planted: Option<Planted>,
}

/// A scenario and its cuts; operations are counted from the device's first start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What is done.
    pub scenario: Scenario,
    /// When power goes, in order.
    pub cuts: Vec<Cut>,
}

/// What must hold did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

/// What was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases.
    pub cases: u64,
    /// Starts after a cut.
    pub reboots: u64,
    /// Storage operations.
    pub operations: u64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Tally) {
        self.cases += other.cases;
        self.reboots += other.reboots;
        self.operations += other.operations;
    }
}

type Checked<T = ()> = Result<T, Broken>;

fn broken<T>(what: impl Into<String>) -> Checked<T> {
    Err(Broken(what.into()))
}

impl Scenario {
    /// On flash that erases to `erased` and is written in units of `program`, without a cache and without a bug.
    pub fn new(upgrade: Upgrade, erased: u8, program: u32) -> Self {
        Scenario { upgrade, erased, program, unsynced: Unsynced::Kept, planted: None }
    }

    fn file_length(&self) -> usize {
        match self.upgrade {
            Upgrade::Pieces | Upgrade::Marked => 41_500,
            Upgrade::Whole | Upgrade::Module => 20_001,
        }
    }

    fn plan(&self) -> Plan<'static> {
        match self.upgrade {
            Upgrade::Module => Plan {
                component: "app",
                source: "FWV1",
                target: "FWV2",
                kind: ComponentKind::Module,
                ..bench::plan()
            },
            _ => bench::plan(),
        }
    }

    fn blank(&self) -> SimFlash {
        let Scenario { erased, program, .. } = *self;
        let image = Geometry { size: 20 * 1024, erase: 4096, program, erased };
        let mut journal = Geometry { size: JOURNAL_BLOCK, erase: JOURNAL_BLOCK, program, erased };
        journal.size = Journal::minimum_size(&journal);
        let mut flash = SimFlash::new(image, journal);
        flash.set_unsynced(self.unsynced);
        flash
    }
}

/// All that a power cut of the device leaves as it is: its flash, its MCU, and the world.
#[derive(Debug, Clone)]
struct Device {
    scenario: Scenario,
    flash: SimFlash,
    file: Arc<Vec<u8>>,
    md5: [u8; 16],
    crc: u32,
    /// What the MCU has written so far.
    mcu: Vec<u8>,
    /// Up to where the application knows that its mark holds.
    marked: u32,
    /// Its bootloader is told to start what was written: on flash before action 3, as in c-examples/sota.c.
    mcu_marked: bool,
    mcu_version: &'static str,
    module_version: &'static str,
    has_secret: bool,
    /// The platform knows that the device confirmed.
    confirmed: bool,
    /// The platform knows of the success.
    succeeded: bool,
    packet: PacketId,
    /// Bytes that the server sent.
    served: u64,
    starts: u64,
    cuts: u64,
}

/// Why a device stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// Power went.
    Off,
    /// The module restarts with what it was given.
    Restart,
    /// Nothing is left to do.
    Done,
}

impl Device {
    fn new(scenario: Scenario) -> Self {
        let file = bench::file(scenario.file_length());
        Device {
            scenario,
            flash: scenario.blank(),
            md5: bench::md5_of(&file),
            crc: crc32fast::hash(&file),
            file: Arc::new(file),
            mcu: Vec::new(),
            marked: 0,
            mcu_marked: false,
            mcu_version: "1",
            module_version: "FWV1",
            has_secret: false,
            confirmed: false,
            succeeded: false,
            packet: PacketId::FIRST,
            served: 0,
            starts: 0,
            cuts: 0,
        }
    }

    /// Runs until power goes at `cut`, or to the end.
    fn run(&mut self, cut: Option<Cut>) -> Checked<Stopped> {
        let mut buffer = [0; RECEIVE_BUFFER_MIN];
        for _ in 0..4 {
            let flash = std::mem::replace(&mut self.flash, empty());
            let mut board = Board::power_on(flash, self.module_version, self.scenario.planted);
            if let Some(cut) = cut {
                board.flash.cut_at(cut);
            }
            self.starts += 1;
            let stopped = Life { device: self, agent: Agent::new(&mut buffer), board: &mut board }.live();
            let off = board.flash.is_off();
            let applied = board.applied;
            self.flash = board.flash;
            if let Some(size) = applied {
                if self.flash.bytes(Area::Image)[..size as usize] != **self.file {
                    return broken("the module was handed an image that is not the file");
                }
                self.module_version = "FWV2";
            }
            match stopped {
                _ if off => {
                    self.cuts += 1;
                    return Ok(Stopped::Off);
                }
                Ok(Stopped::Restart) => {}
                other => return other,
            }
        }
        broken("the device restarts again and again")
    }

    /// Runs to the end, and checks what must hold there.
    fn finish(&mut self) -> Checked {
        self.run(None)?;
        let image: &[u8] = match self.scenario.upgrade {
            Upgrade::Module => &self.flash.bytes(Area::Image)[..self.file.len()],
            _ => &self.mcu,
        };
        if image != *self.file {
            return broken("the end has other bytes than the file");
        }
        if !self.succeeded {
            return broken("the platform never learned of the success");
        }
        if let Some(violation) = self.flash.violations().first() {
            return broken(format!("flash was misused: {violation:?}"));
        }
        let length = self.file.len() as u64;
        let again = match self.scenario.upgrade {
            Upgrade::Pieces => length,
            // And the chunk that was being taken: its end may lie behind the mark that was to be written.
            _ => u64::from(PROGRESS_INTERVAL) + CHUNK as u64,
        };
        let most = length + self.cuts * again;
        if self.served > most {
            return broken(format!("{} bytes were fetched, at most {most} had to be", self.served));
        }
        Ok(())
    }
}

/// Stands in while a board has the flash.
fn empty() -> SimFlash {
    let none = Geometry { size: 16, erase: 16, program: 1, erased: 0xFF };
    SimFlash::new(none, none)
}

/// From power on to power off.
struct Life<'l, 'b> {
    device: &'l mut Device,
    agent: Agent<'b>,
    board: &'l mut Board,
}

impl Life<'_, '_> {
    fn is_off(&self) -> bool {
        self.board.flash.is_off()
    }

    fn live(mut self) -> Checked<Stopped> {
        let plan = self.device.scenario.plan();
        if self.device.mcu_marked {
            self.device.mcu_version = "2";
        }
        // Every application configures at each start; what fails for want of power concerns nobody.
        self.agent.start(self.board);
        let _ = self.agent.set_product(self.board, PRODUCT_KEY, PRODUCT_SECRET);
        let _ = self.agent.set_server(self.board, "mqtt://iot.example.com:1883");
        if plan.kind == ComponentKind::Mcu {
            let _ = self.agent.set_mcu_version(self.board, plan.component, self.device.mcu_version);
        }
        let _ = self.agent.set_mode(self.board, Mode::Request);
        for _ in 0..STEPS {
            if self.is_off() {
                return Ok(Stopped::Off);
            }
            let wait = self.agent.poll(self.board);
            let mut moved = false;
            while !self.is_off()
                && let Some(event) = self.agent.next_event()
            {
                moved = true;
                self.application(&event)?;
            }
            while !self.is_off()
                && let Some(asked) = self.board.asked.pop_front()
            {
                moved = true;
                if self.answer(asked)? == Stopped::Restart && !self.is_off() {
                    return Ok(Stopped::Restart);
                }
            }
            if moved {
                continue;
            }
            if self.device.succeeded && wait.0 > 0 && self.agent.ota_progress().state == 0 {
                return Ok(Stopped::Done);
            }
            self.board.now += wait.0;
            if self.board.now > LIFE {
                return broken(format!("no end in state {}", self.agent.ota_progress().state));
            }
        }
        broken(format!("no rest in state {}", self.agent.ota_progress().state))
    }

    /// The application, as the seeds' example: it confirms, reads each piece, and goes on.
    fn application(&mut self, event: &Event) -> Checked {
        match (event.event, event.code, event.value) {
            // Perhaps told twice, from the journal and by the platform.
            (7, 10700, _) => {
                let _ = self.agent.ota_action(self.board, 1);
                Ok(())
            }
            (7, 10703, EventValue::Text(text)) => self.read_piece(text.as_str()),
            (7, 10704, _) if self.device.scenario.upgrade != Upgrade::Module => {
                self.device.mcu_version = "2";
                let _ = self.agent.set_mcu_version(self.board, "MCU", "2");
                Ok(())
            }
            (7, 10705, _) => self.check_success(),
            (7, 10706, _) => broken("the application was told of a failure (10706)"),
            _ => Ok(()),
        }
    }

    /// The piece of a 10703, into the MCU.
    fn read_piece(&mut self, text: &str) -> Checked {
        let numbers: Vec<u32> = text.split(',').skip(1).filter_map(|field| field.parse().ok()).collect();
        let [total, start, length] = numbers[..] else { return broken(format!("10703 with {text}")) };
        let mut at = start;
        let mut buffer = [0; 1000];
        if start < self.device.marked || start as usize > self.device.mcu.len() {
            let Device { marked, mcu, .. } = &*self.device;
            return broken(format!("a piece from {start}; the mark is {marked}, the MCU has {}", mcu.len()));
        }
        self.device.mcu.truncate(start as usize);
        while at < start + length {
            let count = match self.agent.read(self.board, at, &mut buffer) {
                Ok(count) => count,
                Err(_) if self.is_off() => return Ok(()),
                Err(error) => return broken(format!("a read at {at} failed: {error}")),
            };
            if self.device.file.get(at as usize..at as usize + count) != buffer.get(..count) {
                return broken(format!("a read at {at} gave other bytes than the server sent"));
            }
            self.device.mcu.extend(&buffer[..count]);
            at += count as u32;
            if self.device.scenario.upgrade == Upgrade::Marked && (at % 7_000 == 0 || at == start + length) {
                match self.agent.mark(self.board, at) {
                    Ok(()) if !self.is_off() => self.device.marked = at,
                    _ if self.is_off() => return Ok(()),
                    other => return broken(format!("the mark {at} was not taken: {other:?}")),
                }
            }
        }
        let is_last = at >= total;
        if is_last && self.device.mcu != *self.device.file {
            return broken("the MCU is to start an image that is not the file");
        }
        self.device.mcu_marked = is_last;
        let _ = self.agent.ota_action(self.board, if is_last { 3 } else { 2 });
        Ok(())
    }

    fn check_success(&self) -> Checked {
        let Device { scenario, mcu, file, module_version, .. } = &*self.device;
        let right = match scenario.upgrade {
            Upgrade::Module => *module_version == "FWV2",
            _ => *mcu == **file,
        };
        if right { Ok(()) } else { broken("success without the new version") }
    }

    /// Broker, platform, server and bootloader.
    fn answer(&mut self, asked: Asked) -> Checked<Stopped> {
        match asked {
            Asked::Connect { password, .. } if self.device.has_secret && password.starts_with("0;") => {
                return broken("the device forgot its secret");
            }
            Asked::Connect { .. } => self.agent.on_link(self.board, Link::Connected),
            Asked::Subscribe(_) => {
                self.agent.on_link(self.board, Link::Subscribed);
                if !self.device.has_secret && !self.is_off() {
                    let device_secret = DEVICE_SECRET;
                    self.send(&Downlink::Provision(Provision { device_secret, ..Provision::default() }))?;
                }
            }
            Asked::Publish { mut payload, id, .. } => {
                self.receive(&mut payload)?;
                self.agent.on_sent(self.board, id, true);
            }
            Asked::Fetch { range, .. } => self.serve(range),
            Asked::Apply(_) => return Ok(Stopped::Restart),
            Asked::Disconnect | Asked::FetchCancel | Asked::ApplyFiles(_) => {}
        }
        Ok(Stopped::Done)
    }

    fn send(&mut self, message: &Downlink<'_>) -> Checked {
        let mut buffer = [0; 1024];
        let packet = self.device.packet;
        self.device.packet = packet.next();
        let Ok(length) = message.emit_frame(packet, &mut buffer) else {
            return broken("no room for a packet");
        };
        if self.agent.on_message(self.board, "q/1/d/x/ota", &buffer[..length]) {
            Ok(())
        } else {
            broken("the agent had no room for a message")
        }
    }

    /// The platform gets a packet.
    fn receive(&mut self, payload: &mut [u8]) -> Checked {
        let Ok(frame) = Frame::parse(payload) else { return broken("the device sent what is no frame") };
        let plan = self.device.scenario.plan();
        match Uplink::parse(&frame) {
            Ok(Uplink::InfoReport(info)) => {
                // What has the secret comes again with it.
                self.device.has_secret = true;
                let is_there = match plan.kind {
                    ComponentKind::Module => info.module_version == plan.target,
                    ComponentKind::Mcu => info.mcu_list == Some("MCU:2"),
                };
                let known = self.device.confirmed
                    && !matches!(self.device.scenario.upgrade, Upgrade::Pieces | Upgrade::Marked);
                if is_there || known { Ok(()) } else { self.offer(plan) }
            }
            Ok(Uplink::PlanRequest(_)) => self.offer(plan),
            Ok(Uplink::StatusEvent(event)) => match event.status.number() {
                2 => {
                    self.device.confirmed = true;
                    self.give_url(plan)
                }
                11 => {
                    self.device.succeeded = true;
                    self.check_success()
                }
                status @ (3 | 6 | 7 | 10 | 12) => broken(format!("the platform was told status {status}")),
                _ => Ok(()),
            },
            Ok(_) => Ok(()),
            Err(error) => broken(format!("the device sent no message: {error}")),
        }
    }

    fn offer(&mut self, plan: Plan<'_>) -> Checked {
        self.send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan) }))
    }

    fn give_url(&mut self, plan: Plan<'_>) -> Checked {
        let Device { md5, crc, ref file, .. } = *self.device;
        let content = Content::File { url: URL, size: file.len() as u32, md5, crc, sha256: None };
        let Plan { component, source, target, kind, .. } = plan;
        self.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }))
    }

    fn serve(&mut self, range: Range) {
        let file = Arc::clone(&self.device.file);
        let Range { start, length } = range;
        let total = Some(file.len() as u32);
        let head = FetchHead { status: 206, first: start, length: Some(length), total };
        if self.agent.on_fetch_begin(self.board, head) == Flow::Stop {
            return;
        }
        for chunk in file[start as usize..(start + length) as usize].chunks(CHUNK) {
            self.device.served += chunk.len() as u64;
            if self.agent.on_fetch_data(self.board, chunk) == Flow::Stop || self.is_off() {
                return;
            }
        }
        self.agent.on_fetch_end(self.board, FetchEnd::Complete);
    }
}

/// What the journal holds, as a reboot would find it.
fn view(flash: &SimFlash, planted: Option<Planted>) -> Checked<Saved> {
    let mut board = Board::power_on(flash.clone(), "", planted);
    let mut saved = Saved::default();
    match Journal::open(&mut board, &mut saved) {
        Ok(_) => Ok(saved),
        Err(error) => broken(format!("the journal does not open: {error}")),
    }
}

/// The operations of a run, and what the journal held before each of them.
struct Trace {
    planted: Option<Planted>,
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
pub enum Grain {
    /// Every byte of journal writes, with each of the ways to tear in turn; four places of a payload write; partial
    /// erases.
    Bytes,
    /// Once in the middle.
    Middle,
}

/// The places in an operation where power goes.
fn places(operation: &Operation, number: u64, grain: Grain, block: u32) -> Vec<(u32, Torn)> {
    let ways = |at: u32| {
        [Torn::Unseen, Torn::Unstable, Torn::Scattered(number * 1000 + u64::from(at)), Torn::Marginal]
    };
    let turn = |at: u32| ways(at)[(u64::from(at) + number) as usize % 4];
    match (operation, grain) {
        (Operation::Sync(_), _) => Vec::new(),
        (Operation::Write(_, _, data), Grain::Middle) => {
            let middle = data.len() as u32 / 2;
            vec![(middle, turn(middle))]
        }
        (Operation::Erase(_, _, length), Grain::Middle) => vec![(length / 2, turn(length / 2))],
        (Operation::Write(Area::Journal, _, data), Grain::Bytes) => {
            // A start that leaves no byte may still touch the first unit.
            (0..data.len() as u32).map(|at| (at, turn(at))).collect()
        }
        (Operation::Write(Area::Image, _, data), Grain::Bytes) => {
            let length = data.len() as u32;
            [0, 1, length / 2, length - 1].into_iter().map(|at| (at, turn(at))).collect()
        }
        (Operation::Erase(_, _, length), Grain::Bytes) => {
            let within = [0, 1, block / 2, block - 1];
            let starts = (0..*length).step_by(block as usize);
            starts
                .flat_map(|start| within.map(|at| start + at))
                .flat_map(|at| ways(at).map(|torn| (at, torn)))
                .collect()
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
        self.tally.cases += 1;
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
        self.tally.operations += device.flash.counters().operations - operations;
        self.note(case, outcome);
    }

    /// One cut at every operation, as finely as `grain` says.
    pub fn one_cut(&mut self, scenario: Scenario, grain: Grain) {
        let start = Device::new(scenario);
        self.cut_everywhere(&start, &[], grain, |_, _, _| {});
    }

    /// Two cuts: before or after an operation or in its middle, and then at every operation of the run after it, as finely
    /// as `grain` says. Of the first cuts every `stride`-th behind the first `skip` ones.
    pub fn two_cuts(&mut self, scenario: Scenario, skip: usize, stride: usize, grain: Grain) {
        let start = Device::new(scenario);
        let mut count = 0;
        self.cut_everywhere(&start, &[], Grain::Middle, |sweep, case, device| {
            count += 1;
            if count > skip && (count - skip).is_multiple_of(stride) {
                sweep.cut_everywhere(device, &case.cuts, grain, |_, _, _| {});
            }
        });
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
        let steady = before.iter().all(|cut| !matches!(cut.how, How::During { .. }));
        let checked = steady && scenario.unsynced == Unsynced::Kept;
        for (at, operation) in trace.operations.iter().enumerate() {
            let journal = checked.then_some((&trace, at));
            for how in [How::Before, How::After] {
                if self.is_over() {
                    return;
                }
                let cut = trace.cut(at, how);
                let mut device = start.clone();
                match guarded(|| device.run(Some(cut))) {
                    Ok(Stopped::Off) => {}
                    Ok(_) => {
                        self.note(case(cut), broken("the run did not come to the cut"));
                        continue;
                    }
                    Err(broken) => {
                        self.note(case(cut), Err(broken));
                        continue;
                    }
                }
                self.tally.operations += at as u64;
                if how == How::Before {
                    let block = device.flash.geometry(area_of(operation)).erase;
                    for (bytes, torn) in places(operation, cut.operation, grain, block) {
                        if self.is_over() {
                            return;
                        }
                        let case = case(trace.cut(at, How::During { bytes, torn }));
                        let mut device = device.clone();
                        device.flash.tear(operation, bytes, torn);
                        deeper(self, &case, &device);
                        self.conclude(case, journal, device);
                    }
                }
                deeper(self, &case(cut), &device);
                self.conclude(case(cut), journal, device);
            }
        }
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
        self.tally.add(Tally { cases: 0, ..tally });
        self.note(case, outcome);
    }
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
        (outcome, Tally { cases: 1, reboots: device.starts.saturating_sub(1), operations })
    }

    /// Names the case.
    pub fn id(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { upgrade, erased, program, unsynced, planted } = self.scenario;
        let upgrade = match upgrade {
            Upgrade::Pieces => "pieces",
            Upgrade::Marked => "marked",
            Upgrade::Whole => "whole",
            Upgrade::Module => "module",
        };
        write!(f, "{upgrade}-{erased:02x}{program}")?;
        match unsynced {
            Unsynced::Kept => {}
            Unsynced::Lost => f.write_str("-lost")?,
            Unsynced::Scattered(seed) => write!(f, "-cache{seed}")?,
        }
        match planted {
            None => {}
            Some(Planted::NoCrc) => f.write_str("-nocrc")?,
            Some(Planted::OneSlot) => f.write_str("-oneslot")?,
            Some(Planted::ProgressBeforeData) => f.write_str("-early")?,
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
        _ => return None,
    };
    let (erased, program) = parts.next()?.split_at_checked(2)?;
    let mut scenario = Scenario::new(upgrade, u8::from_str_radix(erased, 16).ok()?, program.parse().ok()?);
    for part in parts {
        match part {
            "lost" => scenario.unsynced = Unsynced::Lost,
            "nocrc" => scenario.planted = Some(Planted::NoCrc),
            "oneslot" => scenario.planted = Some(Planted::OneSlot),
            "early" => scenario.planted = Some(Planted::ProgressBeforeData),
            cache => scenario.unsynced = Unsynced::Scattered(cache.strip_prefix("cache")?.parse().ok()?),
        }
    }
    let cuts = cuts.split(',').filter(|cut| !cut.is_empty()).map(parse_cut).collect::<Option<Vec<_>>>()?;
    Some(Case { scenario, cuts })
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
