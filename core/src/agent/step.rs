//! Start and poll: timers, one message, one publish.

use super::inbox::Opened;
use super::{Agent, Wait};
use crate::clock::Deadline;
use crate::cloud::Asked;
use crate::limits;
use crate::ota::{Failure, Input, State, Timer};
use crate::platform::{Level, Platform};
use crate::text::Text;
use crate::wire::frame::Command;
use crate::wire::message::{Ids, Notice, Provision};

/// The application has this long to take events when the outbox is full. Milliseconds.
const EVENT_PATIENCE: u32 = 10 * 60_000;
/// The application can find out no other way.
pub(super) const LOST_EVENT: &str = "an event is lost: the application takes none";

impl Agent<'_> {
    /// Loads the journal and prepares what an earlier run left (`Ql_iotInit`). Once, before anything else.
    pub fn start(&mut self, platform: &mut dyn Platform) {
        if self.hardware_id.set(platform.device_key()).is_err() {
            platform.log(Level::Error, "the hardware id is longer than 32 characters; set a device key");
        }
        match Text::<{ limits::VERSION }>::of(platform.module_version()) {
            Ok(module) => {
                let software = self.software;
                self.set_software(&module, software.get(self.module_length..).unwrap_or_default());
            }
            Err(_) => platform.log(Level::Error, "the module version is longer than 64 bytes and not used"),
        }
        self.load(platform);
        self.session.start();
    }

    /// One step: timers, one message, one report. Say when the next is due.
    pub fn poll(&mut self, platform: &mut dyn Platform) -> Wait {
        let now = platform.millis();
        if self.session.left(now) == Some(0) {
            let random = self.random(platform);
            let orders = self.session.tick(now, random);
            self.carry_out(platform, orders);
        }
        self.make_room(platform, now);
        // An application that takes no events holds the rest up: nothing of it is lost.
        if self.outbox.has_room() {
            self.weigh_restart(platform, now);
            self.tell_recovered(platform);
            self.confirm_unasked(platform, now);
            self.expire(platform, now);
            self.receive(platform);
        }
        self.try_fetch_again(platform, now);
        self.send(platform, now);
        self.wait(now)
    }

    /// An application that takes no event for so long takes none at all, and must not stop the device.
    fn make_room(&mut self, platform: &mut dyn Platform, now: u32) {
        if self.outbox.has_room() {
            self.patience = None;
        } else if self.patience.get_or_insert(Deadline::after(now, EVENT_PATIENCE)).due(now) {
            while !self.outbox.has_room() && self.outbox.pop().is_some() {
                platform.log(Level::Error, LOST_EVENT);
            }
        }
    }

    fn wait(&self, now: u32) -> Wait {
        /// While the outbox is full.
        const HELD_UP: u32 = 100;
        /// With nothing to wait for.
        const IDLE: u32 = 60_000;
        let readable = !self.inbox.is_empty() && !self.held;
        let more = readable || self.uplink.can_send_more(now, &self.session, &self.reports);
        if more && self.outbox.has_room() {
            return Wait(0);
        }
        let deadlines = [
            self.session.left(now),
            self.machine.left(now),
            self.uplink.left(now),
            self.fetch_again.map(|at| at.left(now)),
            self.unasked_until.map(|at| at.left(now)),
            self.restart.left(now),
        ];
        let next = deadlines.into_iter().flatten().min().unwrap_or(IDLE);
        if self.outbox.has_room() { Wait(next.min(IDLE)) } else { Wait(next.clamp(HELD_UP, IDLE)) }
    }

    /// The timers of the upgrade.
    fn expire(&mut self, platform: &mut dyn Platform, now: u32) {
        let waits_for_link = !self.session.may_send() || !self.reports.is_empty();
        if self.machine.state() == State::Confirmed && waits_for_link {
            // The platform cannot know of the answer yet, so it is not late with the URL.
            self.machine.restart(Timer::Url, now);
        }
        if let Some(timer) = self.machine.take_due(now) {
            self.expired(platform, timer);
        }
    }

    fn expired(&mut self, platform: &mut dyn Platform, timer: Timer) {
        let failure = match timer {
            Timer::Url => Some(Failure::NoUrl),
            Timer::Head => Some(Failure::NoAnswer),
            Timer::Stall => Some(Failure::Stalled),
            Timer::Overall => Some(Failure::TooSlow),
            Timer::Read => Some(Failure::NotRead),
            Timer::McuUpdate | Timer::ModuleUpdate => Some(Failure::NoVersion),
            Timer::GiveUp => Some(Failure::PlanGone),
            Timer::Hold => Some(Failure::HeldTooLong),
            Timer::Verdict => return self.judge_module(platform),
            Timer::ApplyDelay if self.holds_apply => {
                platform.log(Level::Info, "the application holds the module firmware back");
                self.input(platform, Input::ApplyHeld);
                return;
            }
            Timer::Heartbeat | Timer::ApplyDelay | Timer::Retry => None,
        };
        match failure {
            Some(failure) => self.fail(platform, failure, Input::Expired(timer)),
            None => {
                self.input(platform, Input::Expired(timer));
            }
        }
    }

    /// One message, unless the application has to take plans of the one before first.
    #[inline(never)] // what a message is read into is off the stack before something is sent
    fn receive(&mut self, platform: &mut dyn Platform) {
        self.held = false;
        if self.next_plan.is_some() {
            return self.tell_plans();
        }
        let session = &self.session;
        let opened = match self.inbox.open(|raw| super::uplink::decrypt(session, raw)) {
            None => return,
            Some(Err(_)) => {
                platform
                    .log(Level::Warn, "a message that is no frame (or not encrypted as agreed) was dropped");
                return self.inbox.pop();
            }
            Some(Ok(opened)) => opened,
        };
        match opened.command {
            Command::PLAN_NOTIFY if self.is_new(opened) => self.on_plan(platform),
            Command::FIRMWARE_INFO if self.is_new(opened) => self.on_firmware_info(platform),
            Command::PLAN_NOTIFY | Command::FIRMWARE_INFO => {
                platform.log(Level::Debug, "a packet that came twice was dropped");
            }
            Command::PROVISION => self.on_provision(platform),
            Command::NOTICE_DOWN => self.on_notice(platform),
            Command::STATUS_ASK | Command::INFO_ASK => {
                // What is no list of ids asks for nothing.
                let ids = Ids::parse(self.inbox.payload());
                let asked = ids.map(|ids| ids.iter().fold(Asked::NONE, Asked::and)).unwrap_or(Asked::NONE);
                if !self.uplink.ask(opened.command, opened.packet, asked) {
                    // The answer before is not out yet; this message waits its turn.
                    self.held = true;
                    return;
                }
            }
            _ => platform.log(Level::Info, "a packet with a command that is not served was dropped"),
        }
        if self.next_plan.is_none() {
            self.inbox.pop();
        } else {
            self.tell_plans();
        }
    }

    /// Remembers plan and firmware packets; a second one of the same connection with the same id is the same packet.
    fn is_new(&mut self, opened: Opened) -> bool {
        let name = (opened.packet, opened.command);
        if self.handled.contains(&Some(name)) {
            return false;
        }
        let [a, b, c, _] = self.handled;
        self.handled = [Some(name), a, b, c];
        true
    }

    #[inline(never)]
    fn on_provision(&mut self, platform: &mut dyn Platform) {
        let now = platform.millis();
        let random = self.random(platform);
        let Ok(provision) = Provision::parse(self.inbox.payload()) else {
            return platform.log(Level::Warn, "a malformed provisioning packet (0x00B4) was dropped");
        };
        if let Some(capabilities) = provision.capabilities {
            self.uplink.capabilities = capabilities;
        }
        let orders = self.session.on_provision(&provision, now, random);
        self.carry_out(platform, orders);
    }

    fn on_notice(&mut self, platform: &mut dyn Platform) {
        let now = platform.millis();
        let random = self.random(platform);
        let Ok(notice) = Notice::parse(self.inbox.payload()) else {
            return platform.log(Level::Warn, "a malformed error notice (0x00A3) was dropped");
        };
        // Codes of events are below 2^16.
        let code = notice.code.min(u16::MAX.into()) as i32;
        let orders = self.session.on_notice(code, now, random);
        self.carry_out(platform, orders);
    }

    pub(super) fn random(&self, platform: &mut dyn Platform) -> u32 {
        let mut bytes = [0; 4];
        platform.random(&mut bytes);
        u32::from_be_bytes(bytes)
    }
}
