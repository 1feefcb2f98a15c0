//! A whole upgrade: the real agent on a [`Hardware`], with a scripted platform, server, application and MCU around it, and
//! what must hold in each life of the device and at the end.

use std::collections::VecDeque;
use std::sync::Arc;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure, Mode};
use quecota_core::journal::{Journal, Saved};
use quecota_core::limits::{PROGRESS_INTERVAL, RECEIVE_BUFFER_MIN, RESTARTS};
use quecota_core::platform::{Area, Delivery, FetchEnd, FetchHead, Geometry, Link, Range, TransportEvent};
use quecota_core::wire::frame::{Frame, PacketId};
use quecota_core::wire::message::{
    Capabilities, ComponentKind, Content, Downlink, FirmwareInfo, PackageFile, Plan, PlanNotify, Plans,
    Provision, Records, Uplink,
};

use crate::faults::{Chance, Deliver, Fault, Faults, Faulty, Incoming};

use crate::flash::{Cut, Rot, SimFlash, Unsynced};
use crate::hardware::{Hardware, Mutant};
use crate::harness::{self, DEVICE_SECRET, PRODUCT_KEY, PRODUCT_SECRET, URL};
use crate::mock_platform::Asked;

/// Bytes per chunk of a body: no multiple of any program size.
const CHUNK: usize = 3_001;
/// Polls of one life, at most: an upgrade takes some fifty.
const STEPS: u32 = 5_000;
/// Milliseconds of one life, at most.
const LIFE: u32 = 2 * 60 * 60_000;
/// The same where the world has faults: six downloads fail, each asked for again for a day.
const STEPS_WITH_FAULTS: u32 = 500_000;
const LIFE_WITH_FAULTS: u32 = 20 * 24 * 60 * 60_000;
/// The platform gives a device up after so many failed upgrades.
const ATTEMPTS: u32 = 6;
/// The platform pushes by itself what it has, this often (QUECTHING.md 4.10). Milliseconds.
const PUSH: u32 = 10 * 60_000;
/// Bytes of the files of a package: more than an interval, a whole erase block, and a part of one.
const PACKAGE: [usize; 3] = [17_001, 4_096, 5_003];
/// Erase block of the image area.
const IMAGE_BLOCK: usize = 4096;
/// Bytes of the small pieces.
const SMALL_PIECE: usize = 512;
/// The byte that [`Upgrade::Corrupt`] is about.
const CORRUPT_AT: usize = 12_345;
/// The state that is told again and again while bytes come; of several waiting reports of it one is sent (`core/src/cloud/report.rs`).
const HEARTBEAT: u8 = 5;
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
    /// The same of three files.
    Package,
    /// The image of [`Upgrade::Whole`], of which the server sends one byte wrong until the platform hears of it.
    Corrupt,
    /// An MCU image in many small pieces, marked as it comes, on a device that restarts after each piece: more often
    /// than [`RESTARTS`] allows without progress.
    Brief,
    /// The same, and the device restarts whenever it is to read the third piece.
    Loop,
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
    pub planted: Option<Mutant>,
    /// Seed of the faults of link, server, flash and clock; `None`: there are none.
    pub faults: Option<u64>,
    /// What changes on flash while power is off for the first time.
    pub rot: Option<Rot>,
}

/// What must hold did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

pub(crate) type Checked<T = ()> = Result<T, Broken>;

pub(crate) fn broken<T>(what: impl Into<String>) -> Checked<T> {
    Err(Broken(what.into()))
}

impl Scenario {
    /// On flash that erases to `erased` and is written in units of `program`, without a cache and without a bug.
    pub fn new(upgrade: Upgrade, erased: u8, program: u32) -> Self {
        Scenario {
            upgrade,
            erased,
            program,
            unsynced: Unsynced::Kept,
            planted: None,
            faults: None,
            rot: None,
        }
    }

    /// What goes wrong in the life with this number.
    fn faults_of(&self, life: u64) -> Faults {
        match self.faults {
            None => Faults::default(),
            Some(seed) => {
                let mut faults = mixed(seed);
                faults.seed = seed.wrapping_mul(1_000).wrapping_add(life);
                faults
            }
        }
    }

    fn file_length(&self) -> usize {
        match self.upgrade {
            Upgrade::Pieces | Upgrade::Marked => 41_500,
            Upgrade::Whole | Upgrade::Module | Upgrade::Corrupt => 20_001,
            Upgrade::Package => PACKAGE.iter().sum(),
            Upgrade::Brief | Upgrade::Loop => SMALL_PIECE * (usize::from(RESTARTS) + 3),
        }
    }

    fn plan(&self) -> Plan<'static> {
        match self.upgrade {
            Upgrade::Module | Upgrade::Package => Plan {
                component: "app",
                source: "FWV1",
                target: "FWV2",
                kind: ComponentKind::Module,
                ..harness::plan()
            },
            _ => harness::plan(),
        }
    }

    /// Whether the server's bytes may come wrong.
    fn has_wrong_bytes(&self) -> bool {
        self.faults.is_some() || self.upgrade == Upgrade::Corrupt
    }

    /// Whether the journal may have lost what it held.
    fn has_journal_rot(&self) -> bool {
        self.rot.is_some_and(|rot| rot.area == Area::Journal)
    }

    /// Whether what was told before may be unknown now: the world goes by what the device runs.
    fn is_forgetful(&self) -> bool {
        self.faults.is_some() || self.has_journal_rot()
    }

    /// Whether the device restarts in the middle by itself.
    fn restarts(&self) -> bool {
        matches!(self.upgrade, Upgrade::Brief | Upgrade::Loop)
    }

    /// Whether the application marks what it has.
    fn is_marked(&self) -> bool {
        self.upgrade == Upgrade::Marked || self.restarts()
    }

    fn is_module(&self) -> bool {
        self.plan().kind == ComponentKind::Module
    }

    /// The files on the server: URL, first byte in all of them, length.
    fn files(&self) -> Vec<(String, usize, usize)> {
        if self.upgrade != Upgrade::Package {
            return vec![(URL.into(), 0, self.file_length())];
        }
        let starts = PACKAGE.iter().scan(0, |next, size| Some(std::mem::replace(next, *next + size)));
        let files = starts.zip(PACKAGE).enumerate();
        files.map(|(at, (start, size))| (format!("{URL}/{at}"), start, size)).collect()
    }

    fn blank(&self) -> SimFlash {
        let Scenario { erased, program, .. } = *self;
        let (blocks, erase) = match self.upgrade {
            Upgrade::Package => (8, IMAGE_BLOCK as u32),
            Upgrade::Brief | Upgrade::Loop => (1, SMALL_PIECE as u32),
            _ => (5, IMAGE_BLOCK as u32),
        };
        let image = Geometry { size: blocks * erase, erase, program, erased };
        let mut journal = Geometry { size: JOURNAL_BLOCK, erase: JOURNAL_BLOCK, program, erased };
        journal.size = Journal::minimum_size(&journal);
        let mut flash = SimFlash::new(image, journal);
        flash.set_unsynced(self.unsynced);
        flash
    }
}

/// Some faults of all, some often and some seldom.
pub fn mixed(seed: u64) -> Faults {
    /// Parts of a million, at most.
    const MOST: [(Fault, u64); Fault::ALL.len()] = [
        (Fault::DropLink, 30_000),
        (Fault::Duplicate, 200_000),
        (Fault::Reorder, 200_000),
        (Fault::LoseAck, 30_000),
        (Fault::Refuse, 100_000),
        (Fault::Status, 200_000),
        (Fault::WrongRange, 200_000),
        (Fault::Short, 100_000),
        (Fault::Long, 100_000),
        (Fault::Stall, 50_000),
        (Fault::Corrupt, 50),
        (Fault::WriteFail, 10_000),
        (Fault::Full, 10_000),
        (Fault::ClockJump, 5_000),
    ];
    let mut state = seed ^ 0x5851_f42d_4c95_7f2d;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut faults = Faults::default();
    for (fault, most) in MOST {
        if random(3) == 0 {
            faults = faults.with(fault, Chance::per_million(random(most) as u32 + 1));
        }
    }
    faults.slow = (random(4) == 0).then(|| 500 + random(50_000) as u32);
    // Soon before the clock wraps.
    faults.clock_start = (random(2) == 0).then(|| u32::MAX - random(200_000) as u32);
    faults
}

/// All that a power cut of the device leaves as it is: its flash, its MCU, and the world.
#[derive(Debug, Clone)]
pub struct Device {
    pub(crate) scenario: Scenario,
    pub(crate) flash: SimFlash,
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
    /// By status 11.
    is_told: bool,
    /// The application was told of a boot loop.
    is_failure_told: bool,
    /// The MCU was once told to start the file.
    has_started: bool,
    /// The platform knows that a wrong byte came.
    is_corruption_known: bool,
    /// Status reports that the journal held when power came on, and that the platform does not have yet, oldest first.
    kept: VecDeque<Told>,
    /// Some were lost to flash that fails or to a full queue, with a line in the log: their word is owed no more.
    is_report_unkept: bool,
    /// What the platform ever got.
    heard: Vec<Told>,
    /// Upgrades that failed, each with a reason.
    failed: u32,
    packet: PacketId,
    /// Bytes that the server sent.
    served: u64,
    /// In a world with faults: what came for each offset last, and the time before. A chunk that flash did not take to
    /// its end may be there in part.
    came: Vec<[u8; 2]>,
    /// Times that power came on.
    pub(crate) starts: u64,
    /// Times that power went.
    pub(crate) cuts: u64,
}

/// A status report: state and component.
type Told = (u8, String);

/// Why a device stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Power went.
    Off,
    /// The module restarts with what it was given.
    Restart,
    /// Nothing is left to do.
    Done,
}

impl Device {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let file = harness::file(scenario.file_length());
        Device {
            scenario,
            flash: scenario.blank(),
            md5: harness::md5_of(&file),
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
            is_told: false,
            is_failure_told: false,
            has_started: false,
            is_corruption_known: false,
            kept: VecDeque::new(),
            is_report_unkept: false,
            heard: Vec::new(),
            failed: 0,
            packet: PacketId::FIRST,
            served: 0,
            came: if scenario.has_wrong_bytes() { vec![[0; 2]; scenario.file_length()] } else { Vec::new() },
            starts: 0,
            cuts: 0,
        }
    }

    /// Runs until power goes at `cut`, or to the end.
    pub(crate) fn run(&mut self, cut: Option<Cut>) -> Checked<Stopped> {
        let mut buffer = [0; RECEIVE_BUFFER_MIN];
        // A device that restarts by itself does so for its module's sake, once for each attempt.
        let most = match self.scenario.restarts() {
            true => 3 * u32::from(RESTARTS),
            false if self.scenario.faults.is_some() => 4 + ATTEMPTS,
            false => 4,
        };
        for _ in 0..most {
            let flash = std::mem::replace(&mut self.flash, empty());
            let board = Hardware::power_on(flash, self.module_version, self.scenario.planted);
            self.find_reports(&board)?;
            let faults = self.scenario.faults_of(self.starts);
            let mut board = Faulty::new(board, faults.clone());
            if let Some(cut) = cut {
                board.inner.flash.cut_at(cut);
            }
            self.starts += 1;
            let life = Life {
                device: self,
                agent: Agent::new(&mut buffer),
                board: &mut board,
                incoming: Incoming::new(faults),
                is_linked: false,
                is_bootstrap: false,
                fetched: 0,
                queued: VecDeque::new(),
                has_crashed: false,
            };
            let stopped = life.live();
            let board = board.into_inner();
            let off = board.flash.is_off();
            let applied = board.applied;
            self.flash = board.flash;
            self.is_report_unkept |= board.is_report_unkept || board.is_report_dropped;
            if let Some(parts) = applied {
                if self.handed_over(&parts) != **self.file {
                    return broken("the module was handed an image that is not the file");
                }
                self.module_version = "FWV2";
            }
            match stopped {
                _ if off => {
                    self.cuts += 1;
                    if let Some(rot) = self.scenario.rot.filter(|_| self.cuts == 1) {
                        self.rot(rot);
                    }
                    return Ok(Stopped::Off);
                }
                Ok(Stopped::Restart) => {}
                other => return other,
            }
        }
        broken("the device restarts again and again")
    }

    /// Flash changes while power is off.
    pub(crate) fn rot(&mut self, rot: Rot) {
        self.scenario.rot = Some(rot);
        self.flash.rot(rot);
        if self.scenario.has_journal_rot() {
            // What the journal lost is owed no more.
            self.kept.clear();
            self.is_report_unkept = true;
        }
    }

    /// Its flash.
    pub fn flash(&self) -> &SimFlash {
        &self.flash
    }

    /// Runs to the end, and checks what must hold there.
    pub(crate) fn finish(&mut self) -> Checked {
        self.run(None)?;
        if self.scenario.upgrade == Upgrade::Loop {
            return self.check_loop();
        }
        if self.is_given_up() {
            return self.check_flash();
        }
        // A module's image was looked at when it was handed over.
        // A platform that did not hear of a success in time may begin once more, and that may fail.
        let is_needless = self.scenario.faults.is_some() && self.has_started && self.failed > 0;
        if !self.scenario.is_module() && self.mcu != *self.file && !is_needless {
            return broken("the end has other bytes than the file");
        }
        if !self.succeeded {
            return broken("the platform never learned of the success");
        }
        if !self.is_told && !self.is_report_unkept {
            return broken("the platform knows of the success, but not by status 11");
        }
        self.check_flash()?;
        if self.scenario.faults.is_some() {
            return Ok(());
        }
        let length = self.file.len() as u64;
        let again = match self.scenario.upgrade {
            Upgrade::Pieces => length,
            // And the chunk that was being taken: its end may lie behind the mark that was to be written.
            _ => u64::from(PROGRESS_INTERVAL) + CHUNK as u64,
        };
        let once = if self.scenario.upgrade == Upgrade::Corrupt { 2 * length } else { length };
        let stops = if self.scenario.restarts() { self.starts } else { self.cuts };
        let rotten = if self.scenario.rot.is_some() { length } else { 0 };
        let most = once + stops * again + rotten;
        if self.served > most {
            return broken(format!("{} bytes were fetched, at most {most} had to be", self.served));
        }
        Ok(())
    }
}

/// What the world makes of a device.
impl Device {
    /// Whether the platform has given it up, with a reason for each failure.
    pub(crate) fn is_given_up(&self) -> bool {
        let attempts = if self.scenario.upgrade == Upgrade::Loop { 1 } else { ATTEMPTS };
        self.failed >= attempts && !self.succeeded
    }

    /// What the module was told to take.
    fn handed_over(&self, parts: &[Range]) -> Vec<u8> {
        let image = self.flash.bytes(Area::Image);
        parts.iter().flat_map(|part| &image[part.start as usize..][..part.length as usize]).copied().collect()
    }

    /// Looks into the journal as the agent is about to: what the platform does not have yet must still be there.
    fn find_reports(&mut self, board: &Hardware) -> Checked {
        let mut flash = board.flash.clone();
        let mut saved = Saved::default();
        if self.starts == 0 || Journal::open(&mut flash, &mut saved).is_err() {
            return Ok(());
        }
        let found = saved.reports.iter().filter(|report| report.state != HEARTBEAT);
        let found: VecDeque<Told> =
            found.map(|report| (report.state, report.component.as_str().to_owned())).collect();
        let mut left = found.iter();
        let mut gone = self.kept.iter().filter(|kept| !left.any(|found| found == *kept));
        // Where bits are unstable, a look may find an old record once more, before one of what has arrived since.
        if let Some((state, of)) = gone.find(|told| !self.heard.contains(told))
            && !self.is_report_unkept
        {
            return broken(format!(
                "the report of status {state} of {of:?} is gone from the journal, unsent"
            ));
        }
        self.kept = found;
        Ok(())
    }

    /// The guard ends the upgrade after as many restarts as it allows; a cut may undo the count of its own restart.
    fn check_loop(&self) -> Checked {
        let least = u64::from(RESTARTS) + 2;
        if !self.is_given_up() || !(least..=least + self.cuts).contains(&self.starts) {
            return broken(format!("{} starts; {} failures reported", self.starts, self.failed));
        }
        // What an application was not told when power went is told to the platform all the same.
        if !self.is_failure_told && self.cuts == 0 {
            return broken("the application was not told that the upgrade failed (10706)");
        }
        self.check_flash()
    }

    fn check_flash(&self) -> Checked {
        match self.flash.violations().first() {
            Some(violation) => broken(format!("flash was misused: {violation:?}")),
            None => Ok(()),
        }
    }

    /// Whether the server sent these bytes for this offset.
    fn has_sent(&self, at: usize, bytes: &[u8]) -> bool {
        match self.came.get(at..at + bytes.len()) {
            None => self.file.get(at..at + bytes.len()) == Some(bytes),
            Some(came) => came.iter().zip(bytes).all(|(came, byte)| came.contains(byte)),
        }
    }

    /// The component runs what the plan is to.
    fn is_there(&self) -> bool {
        if self.scenario.is_module() { self.module_version == "FWV2" } else { self.mcu_version == "2" }
    }

    /// MD5 and CRC-32 as the platform announces them.
    fn announced(&self) -> ([u8; 16], u32) {
        if self.scenario.planted != Some(Mutant::UncheckedDigest) {
            return (self.md5, self.crc);
        }
        let mut wrong = self.file.to_vec();
        wrong[CORRUPT_AT] ^= 1;
        (harness::md5_of(&wrong), crc32fast::hash(&wrong))
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
    board: &'l mut Faulty<Hardware>,
    incoming: Incoming,
    /// The device has a connection to the broker.
    is_linked: bool,
    /// It has connected without a secret.
    is_bootstrap: bool,
    /// Where the next byte of the body belongs.
    fetched: usize,
    /// Reports of this life that the platform does not have yet, oldest first: those that are told of with an event or
    /// by the application's own word.
    queued: VecDeque<Told>,
    /// The device restarts now.
    has_crashed: bool,
}

impl Life<'_, '_> {
    fn is_off(&self) -> bool {
        self.board.inner.flash.is_off()
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
        let faults = self.device.scenario.faults.is_some();
        let (steps, most) = if faults { (STEPS_WITH_FAULTS, LIFE_WITH_FAULTS) } else { (STEPS, LIFE) };
        let mut push = self.board.inner.now + PUSH;
        for _ in 0..steps {
            if self.board.inner.is_report_dropped {
                if self.device.scenario.faults.is_none() {
                    return broken("the agent dropped a report");
                }
                // The queue is bounded: a world that acknowledges next to nothing costs it its oldest, which is logged.
                self.queued.clear();
                self.device.kept.clear();
            }
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
                if self.has_crashed && !self.is_off() {
                    return Ok(Stopped::Restart);
                }
            }
            while !self.is_off()
                && let Some(asked) = self.board.inner.asked.pop_front()
            {
                moved = true;
                if self.answer(asked)? == Stopped::Restart && !self.is_off() {
                    // The module had 5 s to send them; what is left must be in the journal.
                    if !self.board.inner.is_report_unkept {
                        self.device.kept.append(&mut self.queued);
                    }
                    return Ok(Stopped::Restart);
                }
            }
            moved |= self.incoming.holds_back();
            let _ = self.through_faults(|incoming, deliver| incoming.release(deliver));
            if moved {
                continue;
            }
            let ended = self.device.succeeded || self.device.is_given_up();
            let is_sent = self.device.kept.is_empty() && self.queued.is_empty();
            if ended && is_sent && wait.0 > 0 && self.agent.ota_progress().state == 0 {
                return Ok(Stopped::Done);
            }
            let now = self.board.inner.now;
            if faults && now >= push {
                push = now + PUSH;
                if self.is_linked && !ended && !self.device.is_there() {
                    self.offer(plan)?;
                }
                continue;
            }
            self.board.inner.now += if faults { wait.0.min(push - now) } else { wait.0 };
            if self.board.inner.now > most {
                if let Some((state, of)) = self.device.kept.front().or(self.queued.front()) {
                    return broken(format!("the platform never got the report of status {state} of {of:?}"));
                }
                return broken(format!("no end in state {}", self.agent.ota_progress().state));
            }
        }
        broken(format!("no rest in state {}", self.agent.ota_progress().state))
    }

    /// Brings an event to the device, through the faults on its way.
    fn deliver(&mut self, event: TransportEvent<'_>) -> Delivery {
        self.through_faults(|incoming, deliver| incoming.pass(event, deliver))
    }

    /// Takes what `pass` lets through; what became of the last of it.
    fn through_faults(&mut self, pass: impl FnOnce(&mut Incoming, Deliver<'_>)) -> Delivery {
        let mut incoming = std::mem::replace(&mut self.incoming, Incoming::new(Faults::default()));
        let mut delivery = Delivery::Taken;
        pass(&mut incoming, &mut |delay, event| {
            if delay > 0 {
                self.board.inner.now += delay;
                let _ = self.agent.poll(self.board);
            }
            delivery = self.take(event);
        });
        self.incoming = incoming;
        delivery
    }

    fn take(&mut self, event: TransportEvent<'_>) -> Delivery {
        if self.is_off() {
            return Delivery::Stop;
        }
        match event {
            TransportEvent::Link(link) => self.is_linked = link != Link::Lost,
            TransportEvent::Message { .. } | TransportEvent::Sent { .. } if !self.is_linked => {
                return Delivery::Taken;
            }
            TransportEvent::FetchData(data) => {
                let came = self.device.came.iter_mut().skip(self.fetched);
                for (came, byte) in came.zip(data) {
                    *came = [*byte, came[0]];
                }
                self.fetched += data.len();
            }
            _ => {}
        }
        // A message may wait for room.
        for _ in 0..4 {
            match self.agent.on_transport(self.board, event) {
                Delivery::NoRoom => _ = self.agent.poll(self.board),
                delivery => return delivery,
            }
        }
        Delivery::NoRoom
    }

    /// The application, as the seeds' example: it confirms, reads each piece, and goes on.
    fn application(&mut self, event: &Event) -> Checked {
        self.expect_report(event);
        match (event.event, event.code, event.value) {
            // Perhaps told twice, from the journal and by the platform.
            (7, 10700, _) => {
                let is_first = self.agent.ota_progress().state == 1;
                if self.agent.ota_action(self.board, 1).is_ok() && is_first {
                    self.queue(2);
                }
                Ok(())
            }
            (7, 10703, EventValue::Text(text)) => self.read_piece(text.as_str()),
            (7, 10704, _) if !self.device.scenario.is_module() => {
                self.device.mcu_version = "2";
                let _ = self.agent.set_mcu_version(self.board, "MCU", "2");
                Ok(())
            }
            (7, 10705, _) => self.check_success(),
            (7, 10706, _) if self.device.scenario.upgrade == Upgrade::Loop => {
                self.device.is_failure_told = true;
                match self.agent.ota_progress().failure {
                    Some(Failure::Restarts) => Ok(()),
                    other => broken(format!("the application was told of a failure for {other:?}")),
                }
            }
            (7, 10706, _) if self.device.scenario.faults.is_some() => {
                match self.agent.ota_progress().failure {
                    Some(_) => Ok(()),
                    None => broken("a failure without a reason"),
                }
            }
            (7, 10706, _) => broken("the application was told of a failure (10706)"),
            _ => Ok(()),
        }
    }

    /// An event of which the platform gets a report as well.
    fn expect_report(&mut self, event: &Event) {
        let state = match (event.event, event.code) {
            (7, 10701) => 4,
            (7, 10703) => 8,
            // An MCU's application hears it again after a reboot.
            (7, 10704) if self.device.scenario.is_module() => 9,
            (7, 10705) => 11,
            (7, 10706) => 12,
            _ => return,
        };
        self.queue(state);
    }

    /// The agent has this to report. Without power nothing is queued.
    fn queue(&mut self, state: u8) {
        // A queue that is full gives up the steps of a download that a later report says again.
        let may_merge = self.device.scenario.faults.is_some() && matches!(state, 2 | 4 | 8);
        if !self.is_off() && !may_merge {
            self.queued.push_back((state, self.device.scenario.plan().component.into()));
        }
    }

    /// A report arrives: the oldest that the platform does not have, or one that it has, or one that nobody follows.
    fn arrives(&mut self, state: u8, component: &str) -> u8 {
        self.device.heard.push((state, component.into()));
        let queue = if self.device.kept.is_empty() { &mut self.queued } else { &mut self.device.kept };
        if queue.front().is_some_and(|(oldest, of)| (*oldest, of.as_str()) == (state, component)) {
            queue.pop_front();
        }
        state
    }

    /// The piece of a 10703, into the MCU.
    fn read_piece(&mut self, text: &str) -> Checked {
        let numbers: Vec<u32> = text.split(',').skip(1).filter_map(|field| field.parse().ok()).collect();
        let [total, start, length] = numbers[..] else { return broken(format!("10703 with {text}")) };
        let mut at = start;
        let mut buffer = [0; 1000];
        if self.device.scenario.is_forgetful() {
            // An image that arrived wrong begins again at its first byte, and the mark is void; or an older one counts.
            self.device.marked = self.device.marked.min(start);
        }
        if start < self.device.marked || start as usize > self.device.mcu.len() {
            let Device { marked, mcu, .. } = &*self.device;
            return broken(format!("a piece from {start}; the mark is {marked}, the MCU has {}", mcu.len()));
        }
        if self.device.scenario.upgrade == Upgrade::Loop && start as usize >= 2 * SMALL_PIECE {
            self.has_crashed = true;
            return Ok(());
        }
        self.device.mcu.truncate(start as usize);
        while at < start + length {
            self.board.inner.is_read_by_application = true;
            let read = self.agent.ota_read(self.board, at, &mut buffer);
            self.board.inner.is_read_by_application = false;
            let count = match read {
                Ok(count) => count,
                Err(_) if self.is_off() => return Ok(()),
                // The clock jumped over the time that the application has.
                Err(CallError::State) if self.device.scenario.faults.is_some() => return Ok(()),
                Err(error) => return broken(format!("a read at {at} failed: {error}")),
            };
            if !self.device.has_sent(at as usize, &buffer[..count]) {
                let blank = buffer[..count].iter().all(|byte| *byte == self.device.scenario.erased);
                let blank = if blank { " (erased flash)" } else { "" };
                return broken(format!("a read at {at} gave other bytes than the server sent{blank}"));
            }
            at += count as u32;
            let planted = self.device.scenario.planted;
            let marks =
                self.device.scenario.is_marked() && (at.is_multiple_of(7_000) || at == start + length);
            if marks && planted == Some(Mutant::MarkBeforeData) {
                self.mark(at)?;
            }
            if self.is_off() {
                return Ok(());
            }
            self.device.mcu.extend(&buffer[..count]);
            if marks && planted != Some(Mutant::MarkBeforeData) {
                self.mark(at)?;
            }
            if self.is_off() {
                return Ok(());
            }
        }
        let is_last = at >= total;
        if self.device.scenario.upgrade == Upgrade::Brief && !is_last {
            self.has_crashed = true;
            return Ok(());
        }
        if is_last && self.device.mcu != *self.device.file {
            return broken("the MCU is to start an image that is not the file");
        }
        self.device.mcu_marked = is_last;
        self.device.has_started |= is_last;
        if self.agent.ota_action(self.board, if is_last { 3 } else { 2 }).is_ok() && is_last {
            self.queue(9);
        }
        Ok(())
    }

    /// The application has everything before `at`.
    fn mark(&mut self, at: u32) -> Checked {
        match self.agent.ota_checkpoint(self.board, at) {
            _ if self.is_off() => {}
            Ok(()) => self.device.marked = at,
            // Flash that does not take it is no reason to stop.
            Err(_) if self.device.scenario.faults.is_some() => {}
            other => return broken(format!("the mark {at} was not taken: {other:?}")),
        }
        Ok(())
    }

    fn check_success(&self) -> Checked {
        let Device { scenario, mcu, file, module_version, has_started, .. } = &*self.device;
        let right = match scenario.is_module() {
            true => *module_version == "FWV2",
            // A platform that does not know of the success may begin once more, while the report still waits.
            false => *mcu == **file || (scenario.faults.is_some() && *has_started),
        };
        if right { Ok(()) } else { broken("success without the new version") }
    }

    /// Broker, platform, server and bootloader.
    fn answer(&mut self, asked: Asked) -> Checked<Stopped> {
        match asked {
            Asked::Connect { password, .. } => {
                self.is_bootstrap = password.starts_with("0;");
                if self.is_bootstrap && self.device.has_secret && !self.device.scenario.is_forgetful() {
                    return broken("the device forgot its secret");
                }
                self.is_linked = true;
                let _ = self.deliver(TransportEvent::Link(Link::Connected));
            }
            Asked::Subscribe(_) => {
                let _ = self.deliver(TransportEvent::Link(Link::Subscribed));
                if self.is_bootstrap && !self.is_off() {
                    let device_secret = DEVICE_SECRET;
                    self.send(&Downlink::Provision(Provision { device_secret, ..Provision::default() }))?;
                }
            }
            Asked::Publish { .. } if !self.is_linked => {}
            Asked::Publish { mut payload, id, .. } => {
                self.receive(&mut payload)?;
                let _ = self.deliver(TransportEvent::Sent { id, delivered: true });
            }
            Asked::Fetch { url, range } => self.serve(&url, range)?,
            Asked::Apply(_) | Asked::ApplyFiles(_) => return Ok(Stopped::Restart),
            Asked::Disconnect => self.is_linked = false,
            Asked::FetchCancel => {}
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
        let _ = self.deliver(TransportEvent::Message { topic: "q/1/d/x/ota", payload: &buffer[..length] });
        Ok(())
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
                    && !self.device.scenario.has_journal_rot()
                    && !matches!(
                        self.device.scenario.upgrade,
                        Upgrade::Pieces | Upgrade::Marked | Upgrade::Brief
                    );
                if self.device.scenario.upgrade == Upgrade::Loop {
                    let capabilities = Some(Capabilities::REASONS);
                    self.send(&Downlink::Provision(Provision { capabilities, ..Provision::default() }))?;
                }
                // What a device runs is the truth, whatever it says of its upgrade.
                self.device.succeeded |= is_there && self.device.scenario.is_forgetful();
                if is_there || known { Ok(()) } else { self.offer(plan) }
            }
            Ok(Uplink::PlanRequest(_)) if self.device.is_there() || self.device.is_given_up() => Ok(()),
            Ok(Uplink::PlanRequest(_)) => self.offer(plan),
            Ok(Uplink::StatusEvent(event)) => match self.arrives(event.status.number(), event.component) {
                2 => {
                    self.device.confirmed = true;
                    self.give_url(plan)
                }
                11 => {
                    self.device.succeeded = true;
                    self.device.is_told = true;
                    self.check_success()
                }
                12 if self.device.scenario.upgrade == Upgrade::Loop => {
                    self.device.failed += 1;
                    match event.extension.reason {
                        Some(reason) if reason.number == Failure::Restarts as u16 => Ok(()),
                        reason => broken(format!("the platform was told of a failure for {reason:?}")),
                    }
                }
                12 if self.device.scenario.faults.is_some() => {
                    self.device.failed += 1;
                    self.device.confirmed = false;
                    Ok(())
                }
                6 if self.device.scenario.faults.is_some() || self.device.scenario.rot.is_some() => Ok(()),
                6 if self.device.scenario.upgrade == Upgrade::Corrupt => {
                    self.device.is_corruption_known = true;
                    Ok(())
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
        let (md5, crc) = self.device.announced();
        let served = self.device.scenario.files();
        let files: Vec<PackageFile<'_>> = (10u32..)
            .zip(&served)
            .map(|(index, (url, start, size))| {
                let md5 = harness::md5_of(&self.device.file[*start..start + size]);
                PackageFile { index, url, size: *size as u32, md5 }
            })
            .collect();
        let content = match self.device.scenario.upgrade {
            Upgrade::Package => Content::Files(Records::of(&files)),
            _ => Content::File { url: URL, size: self.device.file.len() as u32, md5, crc, sha256: None },
        };
        let Plan { component, source, target, kind, .. } = plan;
        self.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }))
    }

    fn serve(&mut self, url: &str, range: Range) -> Checked {
        let files = self.device.scenario.files();
        let Some((_, base, size)) = files.iter().find(|(known, ..)| known == url) else {
            return broken(format!("{url} was asked for"));
        };
        let mut file = self.device.file[*base..base + size].to_vec();
        if self.device.scenario.upgrade == Upgrade::Corrupt && !self.device.is_corruption_known {
            file[CORRUPT_AT] ^= 1;
        }
        let Range { start, length } = range;
        let total = Some(*size as u32);
        let head =
            FetchHead { status: 206, first: start, length: Some(length), total, ..FetchHead::default() };
        self.fetched = base + start as usize;
        if self.deliver(TransportEvent::FetchHead(head)) == Delivery::Stop {
            return Ok(());
        }
        for chunk in file[start as usize..(start + length) as usize].chunks(CHUNK) {
            self.device.served += chunk.len() as u64;
            if self.deliver(TransportEvent::FetchData(chunk)) == Delivery::Stop || self.is_off() {
                return Ok(());
            }
        }
        let _ = self.deliver(TransportEvent::FetchEnd(FetchEnd::Complete));
        Ok(())
    }
}
