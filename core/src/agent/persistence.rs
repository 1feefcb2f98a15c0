//! What survives a reboot, and how an upgrade goes on after one.

use super::transition::{random, room};
use super::{Agent, Resume};
use crate::cloud::Reports;
use crate::journal::{self, Configuration, Journal, Opening, Places};
use crate::ota::{Input, Offer, OtaEvent, State};
use crate::platform::{Area, Level, Platform};
use crate::wire::message::ComponentKind;

/// The progress is not in the journal.
pub(super) struct NotSaved;

/// The journal, if its area can be used.
pub(super) struct Persistence {
    journal: Option<Journal>,
    /// Reports are in the journal.
    has_reports: bool,
}

/// An upgrade that a reboot interrupted.
pub(super) struct Recovery {
    /// It is to be offered again, or to go on, at the first poll.
    pub(super) is_due: bool,
    /// How one that was confirmed goes on.
    pub(super) resume: Resume,
}

impl Persistence {
    pub(super) const fn new() -> Self {
        Persistence { journal: None, has_reports: false }
    }

    pub(super) fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// Opens the journal, with a line in the log for whatever is not as it should be.
    fn open(&mut self, platform: &mut dyn Platform, saved: Places<'_>) {
        match Journal::open(platform, saved) {
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
    }

    fn save_progress(
        &mut self,
        platform: &mut dyn Platform,
        progress: Option<journal::ProgressRef<'_>>,
    ) -> Result<(), NotSaved> {
        // Without a journal it was said at the start.
        let journal = self.journal.as_mut().ok_or(NotSaved)?;
        journal.save_progress(platform, progress).map(drop).map_err(|_| {
            platform.log(Level::Error, "the journal did not take the upgrade's progress");
            NotSaved
        })
    }

    pub(super) fn save_configuration(&mut self, platform: &mut dyn Platform, configuration: &Configuration) {
        if let Some(journal) = &mut self.journal
            && journal.save_configuration(platform, configuration).is_err()
        {
            platform.log(Level::Error, "the journal did not take the configuration");
        }
    }

    fn save_reports(&mut self, platform: &mut dyn Platform, reports: &Reports) {
        if let Some(journal) = &mut self.journal
            && journal.save_reports(platform, reports.queue()).is_err()
        {
            platform.log(Level::Error, "the journal did not take the status reports");
        }
        self.has_reports = !reports.is_empty();
    }
}

impl Recovery {
    pub(super) const fn new() -> Self {
        Recovery { is_due: false, resume: Resume::Asking }
    }
}

/// At a start.
impl Agent<'_> {
    #[inline(never)] // what is restored is off the stack before the device connects
    pub(super) fn load(&mut self, platform: &mut dyn Platform) {
        let mut progress = None;
        let configuration = &mut self.session.configuration;
        let reports = self.reports.restored();
        self.persistence.open(platform, Places { configuration, progress: &mut progress, reports });
        self.identity.adopt(&mut self.session.configuration);
        self.persistence.has_reports = !self.reports.is_empty();
        if let Some(progress) = &progress {
            self.recover(platform, progress);
        }
    }

    /// QUECTHING.md 3.5; but in 2 to 8 the plan is offered again, and the download goes on from what is staged.
    fn recover(&mut self, platform: &mut dyn Platform, progress: &journal::Progress) {
        self.machine.restore(progress);
        self.download.restore(progress);
        self.uplink.wants_sha256 = progress.wants_sha256;
        self.auto_confirm.set(progress.auto_confirm);
        self.boot_loop.restore(progress.restarts);
        let now = platform.millis();
        let (listed, remaining) = (progress.listed, progress.remaining);
        match State::from_number(progress.state.into()) {
            Some(State::Updating) => {
                self.machine.recover(State::Updating, listed, remaining, now);
                self.apply.is_handed_over = progress.image.kind == ComponentKind::Module;
                platform.log(Level::Info, "an upgrade waits for the new version");
            }
            // The application agreed, and the platform knows of the failure: ask for the plan again.
            Some(State::DownloadError) => {
                self.rewind(platform);
                self.machine.recover(State::DownloadError, listed, remaining, now);
                let random = random(platform);
                self.machine.spread_retry(random, now);
            }
            // Between two components of a list that was confirmed.
            Some(State::NoPlan) if remaining > 0 => {
                self.machine.recover(State::NoPlan, listed, remaining, now);
                self.boot_loop.reset();
            }
            Some(State::PlanReceived) if progress.image.size == 0 => self.clear_upgrade(platform),
            Some(
                State::PlanReceived
                | State::Confirmed
                | State::DownloadStart
                | State::Downloading
                | State::Downloaded,
            ) => {
                self.rewind(platform);
                self.machine.recover(State::PlanReceived, listed, remaining, now);
                self.recovery.is_due = true;
            }
            _ => self.clear_upgrade(platform),
        }
    }

    /// The download goes on at the application's checkpoint.
    pub(super) fn rewind(&mut self, platform: &mut dyn Platform) {
        let room = room(platform);
        self.download.rewind(self.machine.image(), room);
    }

    /// An upgrade that a reboot interrupted: offered again (10700), or it goes on. At the first poll, when a callback is
    /// set and the application has told its version.
    pub(super) fn resume_recovered(&mut self, platform: &mut dyn Platform) {
        if !core::mem::take(&mut self.recovery.is_due) || self.machine.state() != State::PlanReceived {
            return;
        }
        if self.machine.kind() == ComponentKind::Module && self.runs_target() {
            // The module took the image over before that could be recorded (QUECTHING.md 3.5, row 2, 4, 5, 8).
            let (listed, remaining) = (self.machine.listed(), self.machine.remaining());
            self.machine.recover(State::Updating, listed, remaining, platform.millis());
            self.apply.is_handed_over = true;
            return;
        }
        if self.recovery.resume == Resume::AtOnce {
            platform.log(Level::Info, "an upgrade that was interrupted goes on");
            self.input(platform, Input::Confirm);
            return;
        }
        platform.log(Level::Info, "an upgrade that was interrupted is offered again");
        self.emit_event(platform, OtaEvent::Recovered, Input::Plan);
        self.auto_confirm.start(platform.millis());
    }
}

/// While it runs.
impl Agent<'_> {
    /// Saves state and progress. A failure is logged, and the upgrade goes on: only a reboot would miss it.
    pub(super) fn save(&mut self, platform: &mut dyn Platform) {
        let _ = self.try_save(platform);
    }

    /// The same for a caller that must know that it is saved.
    pub(super) fn try_save(&mut self, platform: &mut dyn Platform) -> Result<(), NotSaved> {
        let Offer { image, source, requirements } = self.machine.offer();
        let state = match self.machine.state() {
            // Verified, but not handed over: after a reboot it still is to be.
            State::Updating if image.kind == ComponentKind::Module && !self.apply.is_handed_over => {
                State::Downloaded
            }
            // It was answered once, and is to be offered again after the next reboot, too.
            State::PlanReceived if self.machine.is_offered_again() => State::Confirmed,
            state => state,
        };
        let (offset, digests) = self.download.checkpoint();
        let progress = journal::Progress {
            image,
            source,
            requirements: *requirements,
            wants_sha256: self.uplink.wants_sha256,
            auto_confirm: self.auto_confirm.is_set(),
            state: state.number(),
            attempts: self.machine.failures(),
            piece: self.download.piece(),
            offset,
            digests,
            own: self.download.application_digests(),
            restarts: self.boot_loop.restarts(),
            high_water: self.download.high_water(),
            listed: self.machine.listed(),
            remaining: self.machine.remaining(),
        };
        let is_there = state != State::NoPlan || progress.remaining > 0;
        self.persistence.save_progress(platform, is_there.then_some(progress))
    }

    /// The upgrade is over. Of a list, what is still to come is kept.
    pub(super) fn clear_upgrade(&mut self, platform: &mut dyn Platform) {
        self.apply.is_handed_over = false;
        self.boot_loop.reset();
        self.uplink.upgrade_ended();
        self.machine.clear_image();
        self.download.clear(self.machine.image());
        if self.machine.state() == State::NoPlan && self.machine.remaining() > 0 {
            self.save(platform);
        } else {
            // It is logged; a reboot then offers the upgrade again.
            let _ = self.persistence.save_progress(platform, None);
            platform.discard(Area::Image);
        }
    }

    /// Saves the configuration.
    pub(super) fn save_configuration(&mut self, platform: &mut dyn Platform) {
        self.persistence.save_configuration(platform, &self.session.configuration);
    }

    /// Reports are saved where they might be lost: offline, and at the end of an upgrade. Online they are sent at once,
    /// and flash is spared.
    pub(super) fn keep_reports(&mut self, platform: &mut dyn Platform, newest: State) {
        let is_end = matches!(
            newest,
            State::Refused | State::DownloadError | State::UpdateSuccess | State::UpdateError
        );
        if is_end || (!self.session.may_send() && newest != State::Downloading) {
            self.persistence.save_reports(platform, &self.reports);
        }
    }

    /// What waits was to be sent at once, and now is not: the link is gone, or the module is about to restart.
    pub(super) fn keep_waiting_reports(&mut self, platform: &mut dyn Platform) {
        if !self.reports.is_empty() {
            self.persistence.save_reports(platform, &self.reports);
        }
    }

    /// The platform has the oldest report. Saved at once: a device that restarts often must not send the same report in
    /// each run, and queue more behind it.
    pub(super) fn report_arrived(&mut self, platform: &mut dyn Platform) {
        if self.persistence.has_reports {
            self.persistence.save_reports(platform, &self.reports);
        }
    }
}
