//! The plan (0x0111) and the application's answer to it.

use super::auto_confirm::is_auto_confirmed;
use super::transition::room;
use super::{Agent, CallError};
use crate::ota::Input;
use crate::platform::{Level, Platform};
use crate::wire::message::PlanNotify;

impl Agent<'_> {
    /// Asks the platform for a plan (0x0115). Mode 1 also asks for SHA-256; without the feature
    /// `sha256` it is no value.
    pub fn ota_request(&mut self, mode: u32) -> Result<(), CallError> {
        if mode > u32::from(cfg!(feature = "sha256")) {
            return Err(CallError::Value);
        }
        if !self.session.is_online() {
            return Err(CallError::Offline);
        }
        self.uplink.wants_sha256 = mode == 1;
        self.uplink.plan_request = true;
        Ok(())
    }

    /// 0 refuse, 1 confirm, 2 next piece, 3 the MCU is updating (QUECTHING.md 3.3).
    pub fn ota_action(&mut self, platform: &mut dyn Platform, action: u8) -> Result<(), CallError> {
        if action > 3 {
            return Err(CallError::Value);
        }
        let following = self.download.following(self.machine.image());
        if let Some(input) = self.machine.action(action, following)? {
            if input == Input::Update {
                self.boot_loop.reset();
            }
            self.input(platform, input);
        }
        Ok(())
    }

    /// 0x0111. A malformed one moves nothing (the vendor's moves to 1 with an empty component).
    #[inline(never)]
    pub(super) fn on_plan(&mut self, platform: &mut dyn Platform) {
        let mut notify = PlanNotify::default();
        if notify.parse_in_place(self.inbox.payload()).is_err() {
            return platform.log(Level::Warn, "a malformed upgrade plan was dropped; nothing changes");
        }
        // What a request that still waits would ask for is here. Behind the reports of its upgrade it would look as if the
        // device had begun anew.
        self.uplink.plan_request = false;
        let listed = notify.listed() as u8;
        // The last one is what is reported, as the vendor's does.
        let mut chosen = None;
        for plan in notify.iter() {
            let is_interrupted = self.machine.is_interrupted(&plan);
            chosen = Some(plan);
            if is_interrupted {
                break;
            }
        }
        let Some(plan) = chosen else { return };
        let is_auto_confirmed = is_auto_confirmed(&notify);
        let is_same_image = self.machine.image().is(plan.kind, plan.component, plan.target);
        let is_single = self.machine.listed() == 0;
        let Some(input) = self.machine.take_offer(&plan, listed) else {
            if is_single && !is_same_image {
                self.uplink.ask_at_end();
            }
            return platform.log(Level::Info, "an upgrade is under way; the platform's plan waits");
        };
        if input == Input::Plan {
            self.recovery.is_due = false;
            self.auto_confirm.set(is_auto_confirmed);
            self.auto_confirm.start(platform.millis());
            if is_same_image {
                // What is staged is still of use, if size and digests stay the same.
                let room = room(platform);
                self.download.rewind(self.machine.image(), room);
            } else {
                self.clear_upgrade(platform);
            }
        }
        self.input(platform, input);
    }
}
