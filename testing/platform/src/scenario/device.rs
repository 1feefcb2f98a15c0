//! A device with its flash, from its first start to the end of its upgrade.

use std::collections::VecDeque;
use std::sync::Arc;

use quecota_core::agent::Agent;
use quecota_core::journal::{Journal, Saved};
use quecota_core::limits::RECEIVE_BUFFER_MIN;
use quecota_core::platform::{Geometry, Range};
use quecota_core::wire::frame::PacketId;

use super::life::Life;
use super::*;
use crate::faults::{Faulty, Incoming};
use crate::flash::Cut;
use crate::hardware::Hardware;
use crate::harness;

/// All that a power cut of the device leaves as it is: its flash, its MCU, and the world.
#[derive(Debug, Clone)]
pub struct Device {
    pub(crate) scenario: Scenario,
    pub(crate) flash: SimFlash,
    pub(super) file: Arc<Vec<u8>>,
    md5: [u8; 16],
    pub(super) crc: u32,
    /// What the MCU has written so far.
    pub(super) mcu: Vec<u8>,
    /// Up to where the application knows that its mark holds.
    pub(super) marked: u32,
    /// Its bootloader is told to start what was written: on flash before action 3, as in c-examples/sota.c.
    pub(super) mcu_marked: bool,
    pub(super) mcu_version: &'static str,
    pub(super) module_version: &'static str,
    pub(super) has_secret: bool,
    /// The platform knows that the device confirmed.
    pub(super) confirmed: bool,
    /// The platform knows of the success.
    pub(super) succeeded: bool,
    /// By status 11.
    pub(super) is_told: bool,
    /// The application was told of a boot loop.
    pub(super) is_failure_told: bool,
    /// The MCU was once told to start the file.
    pub(super) has_started: bool,
    /// The platform knows that a wrong byte came.
    pub(super) is_corruption_known: bool,
    /// Status reports that the journal held when power came on, and that the platform does not have yet, oldest first.
    pub(super) kept: VecDeque<Told>,
    /// Some were lost to flash that fails or to a full queue, with a line in the log: their word is owed no more.
    pub(super) is_report_unkept: bool,
    /// What the platform ever got.
    pub(super) heard: Vec<Told>,
    /// Upgrades that failed, each with a reason.
    pub(super) failed: u32,
    pub(super) packet: PacketId,
    /// Bytes that the server sent.
    pub(super) served: u64,
    /// In a world with faults: what came for each offset last, and the time before. A chunk that flash did not take to
    /// its end may be there in part.
    pub(super) came: Vec<[u8; 2]>,
    /// Times that power came on.
    pub(crate) starts: u64,
    /// Times that power went.
    pub(crate) cuts: u64,
}

/// A status report: state and component.
pub(super) type Told = (u8, String);

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
    pub(super) fn handed_over(&self, parts: &[Range]) -> Vec<u8> {
        let image = self.flash.bytes(Area::Image);
        parts.iter().flat_map(|part| &image[part.start as usize..][..part.length as usize]).copied().collect()
    }

    /// Looks into the journal as the agent is about to: what the platform does not have yet must still be there.
    pub(super) fn find_reports(&mut self, board: &Hardware) -> Checked {
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
    pub(super) fn check_loop(&self) -> Checked {
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

    pub(super) fn check_flash(&self) -> Checked {
        match self.flash.violations().first() {
            Some(violation) => broken(format!("flash was misused: {violation:?}")),
            None => Ok(()),
        }
    }

    /// Whether the server sent these bytes for this offset.
    pub(super) fn has_sent(&self, at: usize, bytes: &[u8]) -> bool {
        match self.came.get(at..at + bytes.len()) {
            None => self.file.get(at..at + bytes.len()) == Some(bytes),
            Some(came) => came.iter().zip(bytes).all(|(came, byte)| came.contains(byte)),
        }
    }

    /// The component runs what the plan is to.
    pub(super) fn is_there(&self) -> bool {
        if self.scenario.is_module() { self.module_version == "FWV2" } else { self.mcu_version == "2" }
    }

    /// MD5 and CRC-32 as the platform announces them.
    pub(super) fn announced(&self) -> ([u8; 16], u32) {
        if self.scenario.planted != Some(Mutant::UncheckedDigest) {
            return (self.md5, self.crc);
        }
        let mut wrong = self.file.to_vec();
        wrong[CORRUPT_AT] ^= 1;
        (harness::md5_of(&wrong), crc32fast::hash(&wrong))
    }
}

/// Stands in while a board has the flash.
pub(super) fn empty() -> SimFlash {
    let none = Geometry { size: 16, erase: 16, program: 1, erased: 0xFF };
    SimFlash::new(none, none)
}
