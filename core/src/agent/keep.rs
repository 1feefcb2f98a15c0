//! What survives a reboot, and how an upgrade goes on after one.

use super::restart::Restart;
use super::{Agent, Resume};
use crate::cloud::Reports;
use crate::limits;
use crate::ota::digest::Digests;
use crate::ota::journal::{self, Journal, Opening, Saved};
use crate::ota::staging::{Staging, StagingError};
use crate::ota::{Image, Input, Machine, Piece, State, Told};
use crate::platform::{Area, Level, Platform};
use crate::text::Text;
use crate::wire::message::ComponentKind;

/// A place of the image from which it can go on: all bytes before it are on flash and in the digests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) offset: u32,
    pub(super) digests: Digests,
}

/// It is not in the journal.
pub(super) struct NotKept;

impl Mark {
    pub(super) fn start_of(image: &Image) -> Self {
        Mark { offset: 0, digests: Digests::of(&image.announced) }
    }
}

impl Agent<'_> {
    pub(super) fn load(&mut self, platform: &mut dyn Platform) {
        let mut saved = Saved::default();
        match Journal::open(platform, &mut saved) {
            Ok((journal, opening)) => {
                self.journal = Some(journal);
                match opening {
                    Opening::Blank | Opening::Restored => {}
                    Opening::PartlyRestored => {
                        platform.log(Level::Warn, "a part of the journal is not readable")
                    }
                    Opening::Damaged => platform.log(Level::Error, "the journal is damaged; starting empty"),
                    Opening::Foreign { .. } => {
                        platform.log(Level::Error, "the journal is of another format; starting empty");
                    }
                }
            }
            Err(_) => {
                platform.log(Level::Error, "the journal area cannot be used; nothing survives a reboot")
            }
        }
        self.session.configuration = saved.configuration;
        let kept = &mut self.session.configuration;
        if kept.hardware_id != self.hardware_id {
            // Flash that was copied to another device does not bring its identity along.
            if kept.device_key.is_empty() {
                kept.device_secret.clear();
            }
            kept.hardware_id = self.hardware_id;
        }
        self.reports = Reports::restore(saved.reports);
        self.reports_kept = !self.reports.is_empty();
        if let Some(progress) = &saved.progress {
            self.recover(platform, progress);
        }
    }

    /// QUECTHING.md 3.5, as DECISIONS "after a reboot" has it.
    fn recover(&mut self, platform: &mut dyn Platform, progress: &journal::Progress) {
        self.machine.image = progress.image;
        self.machine.source = progress.source;
        self.machine.demands = progress.demands;
        self.wants_sha256 = progress.wants_sha256;
        self.unasked = progress.unasked;
        self.machine.piece = progress.piece;
        self.mark = Mark { offset: progress.offset, digests: progress.digests };
        self.own = progress
            .own
            .map_or(Mark::start_of(&progress.image), |digests| Mark { offset: digests.length(), digests });
        self.base = self.own;
        self.restarts = progress.restarts;
        self.furthest = progress.furthest;
        self.restart = Restart::Uncounted;
        let now = platform.millis();
        let (listed, behind) = (progress.listed, progress.behind);
        match State::from_number(progress.state.into()) {
            Some(State::Updating) => {
                self.machine.recover(State::Updating, listed, behind, now);
                self.applied = progress.image.kind == ComponentKind::Module;
                platform.log(Level::Info, "an upgrade waits for the new version");
            }
            // The application agreed, and the platform knows of the failure: ask for the plan again.
            Some(State::DownloadError) => {
                self.rewind(platform);
                self.machine.recover(State::DownloadError, listed, behind, now);
                let random = self.random(platform);
                self.machine.spread_retry(random, now);
            }
            // Between two components of a list that was confirmed.
            Some(State::NoPlan) if behind > 0 => {
                self.machine.recover(State::NoPlan, listed, behind, now);
                self.no_restarts();
            }
            Some(State::PlanReceived) if progress.image.size == 0 => self.forget(platform),
            Some(
                State::PlanReceived
                | State::Confirmed
                | State::DownloadStart
                | State::Downloading
                | State::Downloaded,
            ) => {
                self.rewind(platform);
                self.machine.recover(State::PlanReceived, listed, behind, now);
                self.recovered = true;
            }
            _ => self.forget(platform),
        }
    }

    /// The application goes on at its mark, or starts anew without one, so pieces behind it are to come again. What
    /// is staged of the piece around it is kept.
    pub(super) fn rewind(&mut self, platform: &mut dyn Platform) {
        if self.machine.image.kind == ComponentKind::Module {
            // Nobody takes its bytes but the platform, at the end: what is staged counts, file by file.
            self.base = self.start_of_piece();
            return;
        }
        let (own, piece) = (self.own, self.machine.piece);
        let end = piece.start.saturating_add(piece.length);
        let is_taken_whole = own.offset >= end && end < self.machine.image.size;
        if own.offset < piece.start || own.offset > self.mark.offset.max(piece.start) || is_taken_whole {
            let room = Some(self.room(platform)).filter(|room| *room > 0).unwrap_or(piece.length);
            self.restart_at(own, room);
        } else {
            self.base = own;
        }
    }

    /// The image begins again at its first byte, for the application as well.
    pub(super) fn restart_image(&mut self, room: u32) {
        self.own = Mark::start_of(&self.machine.image);
        self.restart_at(self.own, room);
    }

    /// Where the present piece begins, with nothing of its file before it.
    pub(super) fn start_of_piece(&self) -> Mark {
        Mark { offset: self.machine.piece.start, ..Mark::start_of(&self.machine.image) }
    }

    /// A piece of at most `room` bytes begins at `mark`.
    pub(super) fn restart_at(&mut self, mark: Mark, room: u32) {
        self.staging = None;
        self.mark = mark;
        self.base = mark;
        self.machine.piece = self.machine.piece_at(mark.offset, room);
    }

    /// Takes up at the mark.
    pub(super) fn resume_piece(&mut self, platform: &mut dyn Platform) -> Result<Staging, StagingError> {
        let piece = self.machine.piece;
        let within = self.mark.offset.saturating_sub(piece.start);
        let erase = platform.geometry(Area::Image).erase;
        let (file, _) = self.machine.file();
        let base = self.machine.package.place(piece.start, erase);
        let mut staging = Staging::resume_at(platform, base, piece.length, within)?;
        let hashed = file.start.saturating_add(self.mark.digests.length());
        let fits = hashed == self.mark.offset && staging.received() == within;
        if !fits {
            self.restart_at(self.base, piece.length);
            staging = Staging::resume_at(platform, base, self.machine.piece.length, 0)?;
        }
        self.digests = self.mark.digests;
        self.staging = Some(staging);
        Ok(staging)
    }

    /// 10700 for an upgrade that a reboot interrupted. Waits for the first poll, when a callback is set and the
    /// application has told its version.
    pub(super) fn tell_recovered(&mut self, platform: &mut dyn Platform) {
        if !core::mem::take(&mut self.recovered) || self.machine.state() != State::PlanReceived {
            return;
        }
        if self.machine.image.kind == ComponentKind::Module && self.runs_target() {
            // The module took the image over before that could be recorded (QUECTHING.md 3.5, row 2, 4, 5, 8).
            let (listed, behind) = (self.machine.listed, self.machine.behind());
            self.machine.recover(State::Updating, listed, behind, platform.millis());
            self.applied = true;
            return;
        }
        if self.resumes == Resume::AtOnce {
            platform.log(Level::Info, "an upgrade that was interrupted goes on");
            self.input(platform, Input::Confirm);
            return;
        }
        platform.log(Level::Info, "an upgrade that was interrupted is offered again");
        self.tell_step(platform, Told::Recovered, Input::Plan);
        self.tell_unasked(platform.millis());
    }

    /// Whether the module's software is what the upgrade is to.
    pub(super) fn runs_target(&self) -> bool {
        self.software.as_str() == self.machine.image.target.as_str()
    }

    /// State and progress.
    pub(super) fn save(&mut self, platform: &mut dyn Platform) {
        // It is logged, and the upgrade goes on: only a reboot would miss it.
        let _ = self.try_save(platform);
    }

    /// The same for one who must know that it is there.
    pub(super) fn try_save(&mut self, platform: &mut dyn Platform) -> Result<(), NotKept> {
        let Machine { image, source, demands, piece, .. } = &self.machine;
        let state = match self.machine.state() {
            // Verified, but not handed over: after a reboot it still is to be.
            State::Updating if image.kind == ComponentKind::Module && !self.applied => State::Downloaded,
            // It was answered once, and is to be offered again after the next reboot, too.
            State::PlanReceived if self.machine.is_offered_again() => State::Confirmed,
            state => state,
        };
        let progress = journal::Progress {
            image: *image,
            source: *source,
            demands: *demands,
            wants_sha256: self.wants_sha256,
            unasked: self.unasked,
            state: state.number(),
            attempts: self.machine.failures(),
            piece: *piece,
            offset: self.mark.offset,
            digests: self.mark.digests,
            own: (self.own.offset > 0).then_some(self.own.digests),
            restarts: self.restarts,
            furthest: self.furthest,
            listed: self.machine.listed,
            behind: self.machine.behind(),
        };
        let progress = (state != State::NoPlan || progress.behind > 0).then_some(&progress);
        // Without a journal it was said at the start.
        let journal = self.journal.as_mut().ok_or(NotKept)?;
        journal.save_progress(platform, progress).map(drop).map_err(|_| {
            platform.log(Level::Error, "the journal did not take the upgrade's progress");
            NotKept
        })
    }

    /// The upgrade is over. Of a list, what is still to come is kept.
    pub(super) fn forget(&mut self, platform: &mut dyn Platform) {
        self.staging = None;
        self.applied = false;
        self.no_restarts();
        self.furthest = 0;
        // What was passed over may be wanted now.
        self.uplink.plan_request |= core::mem::take(&mut self.passed_over);
        self.machine.image.size = 0;
        self.machine.image.announced = Default::default();
        self.machine.piece = Piece::default();
        self.machine.package.clear();
        self.own = Mark::start_of(&self.machine.image);
        self.mark = self.own;
        self.base = self.own;
        if self.machine.state() == State::NoPlan && self.machine.behind() > 0 {
            self.save(platform);
        } else if let Some(journal) = &mut self.journal
            && journal.save_progress(platform, None).is_err()
        {
            platform.log(Level::Error, "the journal did not forget the upgrade");
        }
    }

    pub(super) fn save_configuration(&mut self, platform: &mut dyn Platform) {
        if let Some(journal) = &mut self.journal
            && journal.save_configuration(platform, &self.session.configuration).is_err()
        {
            platform.log(Level::Error, "the journal did not take the configuration");
        }
    }

    /// Reports are kept where they might be lost: offline, and at the end of an upgrade. Online they are sent at
    /// once, and flash is spared.
    pub(super) fn keep_reports(&mut self, platform: &mut dyn Platform, newest: State) {
        let last_word = matches!(
            newest,
            State::Refused | State::DownloadError | State::UpdateSuccess | State::UpdateError
        );
        if last_word || (!self.session.may_send() && newest != State::Downloading) {
            self.reports_kept = true;
            self.save_reports(platform);
        }
    }

    /// What waits was to be sent at once, and now is not: the link is gone, or the module is about to restart.
    pub(super) fn keep_waiting_reports(&mut self, platform: &mut dyn Platform) {
        if !self.reports.is_empty() {
            self.reports_kept = true;
            self.save_reports(platform);
        }
    }

    /// The platform has the oldest report.
    pub(super) fn report_arrived(&mut self, platform: &mut dyn Platform) {
        // At once: a device whose lives are short must not send the same again in each, and queue more behind it.
        if self.reports_kept {
            self.save_reports(platform);
            self.reports_kept = !self.reports.is_empty();
        }
    }

    fn save_reports(&mut self, platform: &mut dyn Platform) {
        if let Some(journal) = &mut self.journal
            && journal.save_reports(platform, self.reports.queue()).is_err()
        {
            platform.log(Level::Error, "the journal did not take the status reports");
        }
    }

    /// Module version and the application's behind it.
    pub(super) fn set_software(&mut self, module: &str, app: &str) {
        let mut software = Text::<{ 2 * limits::VERSION }>::new();
        // Both parts were measured: they fit.
        let _ = software.push(module);
        self.module_length = software.len();
        let _ = software.push(app);
        self.software = software;
    }
}
