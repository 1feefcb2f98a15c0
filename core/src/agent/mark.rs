//! The application's own mark: how far the image is in *its* flash, so that a reboot costs neither it nor the link more.

use super::keep::Mark;
use super::{Agent, CallError};
use crate::ota::{State, Timer};
use crate::platform::Platform;
use crate::wire::message::ComponentKind;

/// Bytes of the staged piece that are hashed in one go.
const HASHED: u32 = 128;

impl Agent<'_> {
    /// The application says that the bytes before `offset` of the present MCU image are in its flash and stay there
    /// when power goes; kept in the journal when this returns. After a reboot the download goes on from there, and
    /// 10703 begins there, as long as the image stays the same: component, target version, size and digests.
    ///
    /// Taken while a piece is staged (8): any place from where 10703 began to the end of the piece; and until the next
    /// 10703: the place where the piece before it ended. 0 takes the mark back, which in 1 and 2 makes the image begin
    /// again at its first byte.
    pub fn mark(&mut self, platform: &mut dyn Platform, offset: u32) -> Result<(), CallError> {
        let state = self.machine.state();
        let begins = matches!(state, State::PlanReceived | State::Confirmed);
        let runs = matches!(
            state,
            State::DownloadStart | State::Downloading | State::DownloadError | State::Downloaded
        );
        let image = self.machine.image;
        if image.kind != ComponentKind::Mcu || image.size == 0 || !(begins || runs) {
            return Err(CallError::State);
        }
        self.machine.restart(Timer::Read, platform.millis());
        if offset == self.own.offset {
            return Ok(());
        }
        let own = match offset {
            0 => Mark::start_of(&image),
            _ if begins => return Err(CallError::Range),
            _ => self.hashed_to(platform, offset)?,
        };
        if own.offset > self.own.offset {
            self.no_restarts();
        }
        self.own = own;
        if begins {
            self.rewind(platform);
        }
        self.try_save(platform).map_err(|_| CallError::Storage)
    }

    /// The application's mark; 0: none, or it is void because the image is another one.
    pub fn marked(&self) -> u32 {
        self.own.offset
    }

    /// The digests up to `offset` of the staged piece.
    fn hashed_to(&self, platform: &mut dyn Platform, offset: u32) -> Result<Mark, CallError> {
        if offset == self.base.offset {
            return Ok(self.base);
        }
        let staging = self.staging.filter(|_| self.machine.state() == State::Downloaded);
        let staging = staging.ok_or(CallError::Range)?;
        let start = self.machine.piece.start;
        if offset < self.base.offset || offset > start.saturating_add(staging.written()) {
            return Err(CallError::Range);
        }
        // What was hashed for the mark before is not hashed again.
        let is_ahead = (self.base.offset..=offset).contains(&self.own.offset);
        let Mark { offset: mut at, mut digests } = if is_ahead { self.own } else { self.base };
        let mut buffer = [0; HASHED as usize];
        while at < offset {
            let wanted = offset.saturating_sub(at).min(HASHED) as usize;
            let Some(room) = buffer.get_mut(..wanted) else { break };
            let within = at.saturating_sub(start);
            let count = staging.read(platform, within, room).map_err(|_| CallError::Storage)?;
            let read = room.get(..count).filter(|read| !read.is_empty()).ok_or(CallError::Storage)?;
            digests.update(read);
            at = digests.length();
        }
        Ok(Mark { offset, digests })
    }
}
