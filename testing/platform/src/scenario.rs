//! A whole upgrade: the real agent on a [`Hardware`](crate::hardware::Hardware), with a scripted platform, server, application and MCU around it, and
//! what must hold in each life of the device and at the end.

use quecota_core::journal::Journal;
use quecota_core::limits::{PROGRESS_INTERVAL, RESTARTS};
use quecota_core::platform::{Area, Geometry};
use quecota_core::wire::message::{ComponentKind, Plan};

use crate::faults::{Chance, Fault, Faults};
use crate::flash::{Rot, SimFlash, Unsynced};
use crate::hardware::Mutant;
use crate::harness::{self, URL};

mod device;
mod life;
mod peer;

pub use device::Device;
pub(crate) use device::Stopped;

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
            Upgrade::Pieces | Upgrade::Marked => 44_501,
            Upgrade::Whole | Upgrade::Module | Upgrade::Corrupt => 23_002,
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
            Upgrade::Pieces | Upgrade::Marked => (5, IMAGE_BLOCK as u32),
            Upgrade::Whole | Upgrade::Module | Upgrade::Corrupt => (6, IMAGE_BLOCK as u32),
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
