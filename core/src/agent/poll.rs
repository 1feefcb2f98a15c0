//! Start and poll: one poll handles timers, one message and one publish.

use super::messages;
use super::transition::random;
use super::{Agent, Wait};
use crate::ota::{Failure, Input, State, Timer};
use crate::platform::{Level, Platform};
use crate::wire::frame::Command;
use crate::wire::message::{Ids, Notice, Provision, Wanted};

impl Agent<'_> {
    /// Loads the journal and prepares what an earlier run left (`Ql_iotInit`). Once, before anything else.
    pub fn start(&mut self, platform: &mut dyn Platform) {
        self.identity.load(platform);
        self.load(platform);
        self.session.start();
    }

    /// One step: timers, one message, one report. Say when the next is due.
    pub fn poll(&mut self, platform: &mut dyn Platform) -> Wait {
        let now = platform.millis();
        self.inbox.release();
        if self.session.left(now) == Some(0) {
            let random = random(platform);
            self.session.tick(now, random);
            self.carry_out(platform);
        }
        if self.events.make_room(platform, now) {
            self.inbox.hand_over();
            self.inbox.release();
        }
        // An application that takes no events holds the rest up: nothing of it is lost.
        if self.events.has_room() {
            self.count_start(platform, now);
            self.resume_recovered(platform);
            self.auto_confirm(platform, now);
            self.prove(platform, now);
            self.expire(platform, now);
            self.receive(platform);
        }
        self.retry_fetch(platform, now);
        self.drop_waiting_message(platform);
        self.send(platform, now);
        self.wait(now)
    }

    fn wait(&self, now: u32) -> Wait {
        /// While the outbox is full.
        const HELD_UP: u32 = 100;
        /// With nothing to wait for.
        const IDLE: u32 = 60_000;
        let unsent = !self.messages.is_empty() && !self.session.is_online();
        let more =
            self.inbox.is_readable() || unsent || self.download.is_proving() || self.can_send_more(now);
        if more && self.events.has_room() {
            return Wait(0);
        }
        let deadlines = [
            self.session.left(now),
            self.machine.left(now),
            self.uplink.left(now),
            self.download.retry_at().map(|at| at.left(now)),
            self.auto_confirm.left(now),
            self.boot_loop.left(now),
        ];
        let next = deadlines.into_iter().flatten().min().unwrap_or(IDLE);
        if self.events.has_room() { Wait(next.min(IDLE)) } else { Wait(next.clamp(HELD_UP, IDLE)) }
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
            Timer::Url => match self.machine.failure() {
                dropped @ Some(Failure::UrlTooLong) => dropped,
                _ => Some(Failure::NoUrl),
            },
            Timer::Head => Some(Failure::NoAnswer),
            Timer::Stall => Some(Failure::Stalled),
            Timer::Overall => Some(Failure::TooSlow),
            Timer::Read => Some(Failure::NotRead),
            Timer::McuUpdate | Timer::ModuleUpdate => Some(Failure::NoVersion),
            Timer::GiveUp => Some(Failure::PlanGone),
            Timer::Hold => Some(Failure::HeldTooLong),
            Timer::Verdict => return self.judge_module(platform),
            Timer::ApplyDelay if cfg!(feature = "controls") && self.apply.is_held => {
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
        self.inbox.defer(false);
        if self.inbox.next_plan().is_some() {
            self.emit_plans();
            return self.finish_message();
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
            Command::PLAN_NOTIFY if self.inbox.is_new(opened) => self.on_plan(platform),
            Command::FIRMWARE_INFO if self.inbox.is_new(opened) => self.on_firmware_info(platform),
            Command::PLAN_NOTIFY | Command::FIRMWARE_INFO => {
                platform.log(Level::Debug, "a packet that came twice was dropped");
            }
            Command::PROVISION => self.on_provision(platform),
            Command::NOTICE_DOWN => self.on_notice(platform),
            Command::STATUS_ASK | Command::INFO_ASK => {
                // What is no list of ids asks for nothing.
                let ids = Ids::parse(self.inbox.payload());
                let asked = ids.map_or(Wanted::NOTHING, Wanted::from);
                if !self.uplink.ask(opened.command, opened.packet, asked) {
                    // The answer before is not out yet; this message waits its turn.
                    return self.inbox.defer(true);
                }
            }
            Command::DATA_ASK | Command::DATA_WRITE | Command::PASS_DOWN if messages::IN_IMAGE => {
                if self.receive_message(platform, opened.command, opened.packet) {
                    return;
                }
            }
            _ => platform.log(Level::Info, "a packet with a command that is not served was dropped"),
        }
        self.finish_message();
    }

    /// Drops the first message, unless the application has to take plans of it first.
    fn finish_message(&mut self) {
        if self.inbox.next_plan().is_none() {
            self.inbox.pop();
        }
    }

    #[inline(never)]
    fn on_provision(&mut self, platform: &mut dyn Platform) {
        let now = platform.millis();
        let random = random(platform);
        let mut provision = Provision::default();
        if provision.parse_in_place(self.inbox.payload()).is_err() {
            return platform.log(Level::Warn, "a malformed provisioning packet (0x00B4) was dropped");
        }
        if let Some(capabilities) = provision.capabilities {
            self.uplink.capabilities = capabilities;
        }
        self.session.on_provision(&provision, now, random);
        self.carry_out(platform);
    }

    #[inline(never)]
    fn on_notice(&mut self, platform: &mut dyn Platform) {
        let now = platform.millis();
        let random = random(platform);
        let mut notice = Notice::default();
        if notice.parse_in_place(self.inbox.payload()).is_err() {
            return platform.log(Level::Warn, "a malformed error notice (0x00A3) was dropped");
        }
        // Codes of events are below 2^16.
        let code = notice.code.min(u16::MAX.into()) as u16;
        self.session.on_notice(code, now, random);
        self.carry_out(platform);
    }
}
