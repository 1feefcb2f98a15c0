//! The application's checkpoint: how far the image is in *its* flash, so that a reboot costs neither flash nor link more.

use super::{Agent, CallError};
use crate::ota::{State, Timer};
use crate::platform::Platform;
use crate::wire::message::ComponentKind;

impl Agent<'_> {
    /// The application says that the bytes before `offset` of the present MCU image are in its flash and stay there
    /// when power goes; saved in the journal when this returns. After a reboot the download goes on from there, and
    /// 10703 begins there, as long as the image stays the same: component, target version, size and digests.
    ///
    /// Taken while a piece is staged (8): any place from where 10703 began to the end of the piece; and until the next
    /// 10703: the place where the piece before it ended. 0 takes the checkpoint back, which in 1 and 2 makes the image
    /// begin again at its first byte.
    pub fn ota_checkpoint(&mut self, platform: &mut dyn Platform, offset: u32) -> Result<(), CallError> {
        let state = self.machine.state();
        let begins = matches!(state, State::PlanReceived | State::Confirmed);
        let runs = matches!(
            state,
            State::DownloadStart | State::Downloading | State::DownloadError | State::Downloaded
        );
        let image = self.machine.image();
        if image.kind != ComponentKind::Mcu || image.size == 0 || !(begins || runs) {
            return Err(CallError::State);
        }
        self.machine.restart(Timer::Read, platform.millis());
        let image = self.machine.image();
        let before = self.download.application_checkpoint();
        if offset == before {
            return Ok(());
        }
        match offset {
            0 => self.download.clear_application_checkpoint(image),
            _ if begins => return Err(CallError::Range),
            _ => {
                let is_staged = state == State::Downloaded;
                self.download.set_application_checkpoint(platform, offset, is_staged)?;
            }
        }
        if offset > before {
            self.boot_loop.reset();
        }
        if begins {
            self.rewind(platform);
        }
        self.try_save(platform).map_err(|_| CallError::Storage)
    }

    /// The application's checkpoint; 0: none, or it is void because the image is another one.
    pub fn ota_get_checkpoint(&self) -> u32 {
        self.download.application_checkpoint()
    }
}
