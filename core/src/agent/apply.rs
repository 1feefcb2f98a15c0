//! Hands verified module firmware to the platform, and judges by the versions that follow.

use super::Agent;
use crate::ota::{Failure, Input};
use crate::platform::{Applied, Area, Level, Platform};

/// What becomes of verified module firmware.
pub(super) struct Apply {
    /// It was handed to the platform's apply.
    pub(super) is_handed_over: bool,
    /// The application holds it back.
    pub(super) is_held: bool,
}

impl Apply {
    pub(super) const fn new() -> Self {
        Apply { is_handed_over: false, is_held: false }
    }
}

impl Agent<'_> {
    /// 5 s after the module image was verified.
    #[inline(never)] // its list of files is off the stack before the next effect
    pub(super) fn apply(&mut self, platform: &mut dyn Platform) -> Option<Input> {
        self.keep_waiting_reports(platform);
        let applied = match self.download.files() {
            0 | 1 => platform.apply(self.machine.image().size),
            _ => {
                let erase = platform.geometry(Area::Image).erase;
                platform.apply_files(self.download.staged_files(erase, &mut Default::default()))
            }
        };
        match applied {
            Applied::Within(wait) => {
                // Not before: a module that was never handed the image would be judged by its old version.
                self.apply.is_handed_over = true;
                self.boot_loop.reset();
                self.save(platform);
                self.machine.wait_for_module(wait, platform.millis());
                None
            }
            Applied::Refused => {
                self.machine.set_failure(Failure::ApplyRefused);
                Some(Input::ApplyRefused)
            }
        }
    }

    /// After a reboot with a module image applied: at the first subscribe, or 60 s after the start. One
    /// that was interrupted before is judged too, should the module have come to the target some other way.
    pub(super) fn judge_module(&mut self, platform: &mut dyn Platform) {
        let (awaits, runs_target) = (self.machine.awaits_verdict(), self.runs_target());
        if runs_target && (awaits || self.machine.is_module_offered_again()) {
            self.input(platform, Input::ModuleIsTarget);
        } else if awaits {
            self.fail(platform, Failure::OtherVersion, Input::ModuleIsOther);
        }
    }

    /// Whether the module's software is what the upgrade is to.
    pub(super) fn runs_target(&self) -> bool {
        self.software_version() == self.machine.image().target.as_str()
    }

    /// The version that an MCU reports ends its upgrade.
    pub(super) fn judge_mcu(&mut self, platform: &mut dyn Platform, input: Input) {
        if input == Input::OtherVersion && self.machine.takes(input) {
            return self.fail(platform, Failure::OtherVersion, input);
        }
        if self.machine.takes(input) && self.download.high_water() < self.machine.image().size {
            platform
                .log(Level::Warn, "the target version was reported while pieces of the image were missing");
        }
        self.input(platform, input);
    }
}
