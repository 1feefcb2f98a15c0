//! Controls of the application beyond the vendor API: cancel, more time, hold module firmware back.

use super::{Agent, CallError, Resume};
use crate::ota::{Failure, Input, State};
use crate::platform::{Level, Platform};

impl Agent<'_> {
    /// Ends the upgrade in any state: a plan that nobody answered is refused (3), any other upgrade fails (12, 10706)
    /// with [`Failure::Cancelled`]; of a list, so do the components whose URLs have not come. Not once module firmware
    /// was handed over: then the version decides.
    pub fn cancel(&mut self, platform: &mut dyn Platform) -> Result<(), CallError> {
        if self.apply.is_handed_over {
            return Err(CallError::State);
        }
        let is_awaited = self.machine.drop_awaited();
        if self.machine.state() == State::NoPlan {
            // Between two components of a list.
            if !is_awaited {
                return Err(CallError::State);
            }
            self.clear_upgrade(platform);
            return Ok(());
        }
        self.fail(platform, Failure::Cancelled, Input::Cancel);
        Ok(())
    }

    /// Whether an upgrade that was confirmed before a reboot is offered again, or goes on by itself. Before the first
    /// poll.
    pub fn set_resume(&mut self, resume: Resume) {
        self.recovery.resume = resume;
    }

    /// Module firmware is not handed over until [`Agent::allow_apply`], for [`crate::ota::timer::APPLY_HOLD`] at most;
    /// then the upgrade fails with [`Failure::HeldTooLong`]. Holds for this run of the device, also before an upgrade.
    /// Not once the firmware was handed over.
    pub fn hold_apply(&mut self) -> Result<(), CallError> {
        if self.apply.is_handed_over {
            return Err(CallError::State);
        }
        self.apply.is_held = true;
        Ok(())
    }

    /// Module firmware may be handed over again; what was held back is at once.
    pub fn allow_apply(&mut self, platform: &mut dyn Platform) {
        self.apply.is_held = false;
        if self.machine.is_held() {
            self.input(platform, Input::ApplyAllowed);
        }
    }

    /// The application (its MCU is slow, or its link to it) needs at least so many milliseconds more: for the staged
    /// piece in 8, for the new version in 9. In all at most [`crate::ota::timer::READ_MORE`] for one piece and
    /// [`crate::ota::timer::MCU_UPDATE_MORE`] for the update.
    pub fn need_time(&mut self, platform: &mut dyn Platform, milliseconds: u32) -> Result<(), CallError> {
        match self.machine.more_time(milliseconds) {
            Ok(input) => {
                self.input(platform, input);
                Ok(())
            }
            Err(None) => Err(CallError::State),
            Err(Some(_)) => {
                platform.log(Level::Warn, "the application needs more time than it can have");
                Err(CallError::Range)
            }
        }
    }
}
