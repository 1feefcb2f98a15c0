//! The device from power on to power off, and its application.

use std::collections::VecDeque;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure, Mode};
use quecota_core::platform::{Delivery, Link, TransportEvent};

use super::device::{Stopped, Told};
use super::*;
use crate::faults::{Deliver, Faulty, Incoming};
use crate::hardware::Hardware;
use crate::harness::{PRODUCT_KEY, PRODUCT_SECRET};

/// From power on to power off.
pub(super) struct Life<'l, 'b> {
    pub(super) device: &'l mut Device,
    pub(super) agent: Agent<'b>,
    pub(super) board: &'l mut Faulty<Hardware>,
    pub(super) incoming: Incoming,
    /// The device has a connection to the broker.
    pub(super) is_linked: bool,
    /// It has connected without a secret.
    pub(super) is_bootstrap: bool,
    /// Where the next byte of the body belongs.
    pub(super) fetched: usize,
    /// Reports of this life that the platform does not have yet, oldest first: those that are told of with an event or
    /// by the application's own word.
    pub(super) queued: VecDeque<Told>,
    /// The device restarts now.
    pub(super) has_crashed: bool,
}

impl Life<'_, '_> {
    pub(super) fn is_off(&self) -> bool {
        self.board.inner.flash.is_off()
    }

    pub(super) fn live(mut self) -> Checked<Stopped> {
        let plan = self.device.scenario.plan();
        if self.device.mcu_marked {
            self.device.mcu_version = "2";
        }
        // Every application configures at each start; what fails for want of power concerns nobody.
        self.agent.start(self.board);
        let _ = self.agent.set_product(self.board, PRODUCT_KEY, PRODUCT_SECRET);
        let _ = self.agent.set_server(self.board, "mqtt://iot.example.com:1883");
        if plan.kind == ComponentKind::Mcu {
            let _ = self.agent.set_mcu_version(self.board, plan.component, self.device.mcu_version);
        }
        let _ = self.agent.set_mode(self.board, Mode::Request);
        let faults = self.device.scenario.faults.is_some();
        let (steps, most) = if faults { (STEPS_WITH_FAULTS, LIFE_WITH_FAULTS) } else { (STEPS, LIFE) };
        let mut push = self.board.inner.now + PUSH;
        for _ in 0..steps {
            if self.board.inner.is_report_dropped {
                if self.device.scenario.faults.is_none() {
                    return broken("the agent dropped a report");
                }
                // The queue is bounded: a world that acknowledges next to nothing costs it its oldest, which is logged.
                self.queued.clear();
                self.device.kept.clear();
            }
            if self.is_off() {
                return Ok(Stopped::Off);
            }
            let wait = self.agent.poll(self.board);
            let mut moved = false;
            while !self.is_off()
                && let Some(event) = self.agent.next_event()
            {
                moved = true;
                self.application(&event)?;
                if self.has_crashed && !self.is_off() {
                    return Ok(Stopped::Restart);
                }
            }
            while !self.is_off()
                && let Some(asked) = self.board.inner.asked.pop_front()
            {
                moved = true;
                if self.answer(asked)? == Stopped::Restart && !self.is_off() {
                    // The module had 5 s to send them; what is left must be in the journal.
                    if !self.board.inner.is_report_unkept {
                        self.device.kept.append(&mut self.queued);
                    }
                    return Ok(Stopped::Restart);
                }
            }
            moved |= self.incoming.holds_back();
            let _ = self.through_faults(|incoming, deliver| incoming.release(deliver));
            if moved {
                continue;
            }
            let ended = self.device.succeeded || self.device.is_given_up();
            let is_sent = self.device.kept.is_empty() && self.queued.is_empty();
            if ended && is_sent && wait.0 > 0 && self.agent.ota_progress().state == 0 {
                return Ok(Stopped::Done);
            }
            let now = self.board.inner.now;
            if faults && now >= push {
                push = now + PUSH;
                if self.is_linked && !ended && !self.device.is_there() {
                    self.offer(plan)?;
                }
                continue;
            }
            self.board.inner.now += if faults { wait.0.min(push - now) } else { wait.0 };
            if self.board.inner.now > most {
                if let Some((state, of)) = self.device.kept.front().or(self.queued.front()) {
                    return broken(format!("the platform never got the report of status {state} of {of:?}"));
                }
                return broken(format!("no end in state {}", self.agent.ota_progress().state));
            }
        }
        broken(format!("no rest in state {}", self.agent.ota_progress().state))
    }

    /// Brings an event to the device, through the faults on its way.
    pub(super) fn deliver(&mut self, event: TransportEvent<'_>) -> Delivery {
        self.through_faults(|incoming, deliver| incoming.pass(event, deliver))
    }

    /// Takes what `pass` lets through; what became of the last of it.
    pub(super) fn through_faults(&mut self, pass: impl FnOnce(&mut Incoming, Deliver<'_>)) -> Delivery {
        let mut incoming = std::mem::replace(&mut self.incoming, Incoming::new(Faults::default()));
        let mut delivery = Delivery::Taken;
        pass(&mut incoming, &mut |delay, event| {
            if delay > 0 {
                self.board.inner.now += delay;
                let _ = self.agent.poll(self.board);
            }
            delivery = self.take(event);
        });
        self.incoming = incoming;
        delivery
    }

    pub(super) fn take(&mut self, event: TransportEvent<'_>) -> Delivery {
        if self.is_off() {
            return Delivery::Stop;
        }
        match event {
            TransportEvent::Link(link) => self.is_linked = link != Link::Lost,
            TransportEvent::Message { .. } | TransportEvent::Sent { .. } if !self.is_linked => {
                return Delivery::Taken;
            }
            TransportEvent::FetchData(data) => {
                let came = self.device.came.iter_mut().skip(self.fetched);
                for (came, byte) in came.zip(data) {
                    *came = [*byte, came[0]];
                }
                self.fetched += data.len();
            }
            _ => {}
        }
        // A message may wait for room.
        for _ in 0..4 {
            match self.agent.on_transport(self.board, event) {
                Delivery::NoRoom => _ = self.agent.poll(self.board),
                delivery => return delivery,
            }
        }
        Delivery::NoRoom
    }

    /// The application, as the seeds' example: it confirms, reads each piece, and goes on.
    pub(super) fn application(&mut self, event: &Event) -> Checked {
        self.expect_report(event);
        match (event.event, event.code, event.value) {
            // Perhaps told twice, from the journal and by the platform.
            (7, 10700, _) => {
                let is_first = self.agent.ota_progress().state == 1;
                if self.agent.ota_action(self.board, 1).is_ok() && is_first {
                    self.queue(2);
                }
                Ok(())
            }
            (7, 10703, EventValue::Text(text)) => self.read_piece(text.as_str()),
            (7, 10704, _) if !self.device.scenario.is_module() => {
                self.device.mcu_version = "2";
                let _ = self.agent.set_mcu_version(self.board, "MCU", "2");
                Ok(())
            }
            (7, 10705, _) => self.check_success(),
            (7, 10706, _) if self.device.scenario.upgrade == Upgrade::Loop => {
                self.device.is_failure_told = true;
                match self.agent.ota_progress().failure {
                    Some(Failure::Restarts) => Ok(()),
                    other => broken(format!("the application was told of a failure for {other:?}")),
                }
            }
            (7, 10706, _) if self.device.scenario.faults.is_some() => {
                match self.agent.ota_progress().failure {
                    Some(_) => Ok(()),
                    None => broken("a failure without a reason"),
                }
            }
            (7, 10706, _) => broken("the application was told of a failure (10706)"),
            _ => Ok(()),
        }
    }

    /// An event of which the platform gets a report as well.
    pub(super) fn expect_report(&mut self, event: &Event) {
        let state = match (event.event, event.code) {
            (7, 10701) => 4,
            (7, 10703) => 8,
            // An MCU's application hears it again after a reboot.
            (7, 10704) if self.device.scenario.is_module() => 9,
            (7, 10705) => 11,
            (7, 10706) => 12,
            _ => return,
        };
        self.queue(state);
    }

    /// The agent has this to report. Without power nothing is queued.
    pub(super) fn queue(&mut self, state: u8) {
        // A queue that is full gives up the steps of a download that a later report says again.
        let may_merge = self.device.scenario.faults.is_some() && matches!(state, 2 | 4 | 8);
        if !self.is_off() && !may_merge {
            self.queued.push_back((state, self.device.scenario.plan().component.into()));
        }
    }

    /// A report arrives: the oldest that the platform does not have, or one that it has, or one that nobody follows.
    pub(super) fn arrives(&mut self, state: u8, component: &str) -> u8 {
        self.device.heard.push((state, component.into()));
        let queue = if self.device.kept.is_empty() { &mut self.queued } else { &mut self.device.kept };
        if queue.front().is_some_and(|(oldest, of)| (*oldest, of.as_str()) == (state, component)) {
            queue.pop_front();
        }
        state
    }

    /// The piece of a 10703, into the MCU.
    pub(super) fn read_piece(&mut self, text: &str) -> Checked {
        let numbers: Vec<u32> = text.split(',').skip(1).filter_map(|field| field.parse().ok()).collect();
        let [total, start, length] = numbers[..] else { return broken(format!("10703 with {text}")) };
        let mut at = start;
        let mut buffer = [0; 1000];
        if self.device.scenario.is_forgetful() {
            // An image that arrived wrong begins again at its first byte, and the mark is void; or an older one counts.
            self.device.marked = self.device.marked.min(start);
        }
        if start < self.device.marked || start as usize > self.device.mcu.len() {
            let Device { marked, mcu, .. } = &*self.device;
            return broken(format!("a piece from {start}; the mark is {marked}, the MCU has {}", mcu.len()));
        }
        if self.device.scenario.upgrade == Upgrade::Loop && start as usize >= 2 * SMALL_PIECE {
            self.has_crashed = true;
            return Ok(());
        }
        self.device.mcu.truncate(start as usize);
        while at < start + length {
            self.board.inner.is_read_by_application = true;
            let read = self.agent.ota_read(self.board, at, &mut buffer);
            self.board.inner.is_read_by_application = false;
            let count = match read {
                Ok(count) => count,
                Err(_) if self.is_off() => return Ok(()),
                // The clock jumped over the time that the application has.
                Err(CallError::State) if self.device.scenario.faults.is_some() => return Ok(()),
                Err(error) => return broken(format!("a read at {at} failed: {error}")),
            };
            if !self.device.has_sent(at as usize, &buffer[..count]) {
                let blank = buffer[..count].iter().all(|byte| *byte == self.device.scenario.erased);
                let blank = if blank { " (erased flash)" } else { "" };
                return broken(format!("a read at {at} gave other bytes than the server sent{blank}"));
            }
            at += count as u32;
            let planted = self.device.scenario.planted;
            let marks =
                self.device.scenario.is_marked() && (at.is_multiple_of(7_000) || at == start + length);
            if marks && planted == Some(Mutant::MarkBeforeData) {
                self.mark(at)?;
            }
            if self.is_off() {
                return Ok(());
            }
            self.device.mcu.extend(&buffer[..count]);
            if marks && planted != Some(Mutant::MarkBeforeData) {
                self.mark(at)?;
            }
            if self.is_off() {
                return Ok(());
            }
        }
        let is_last = at >= total;
        if self.device.scenario.upgrade == Upgrade::Brief && !is_last {
            self.has_crashed = true;
            return Ok(());
        }
        if is_last && self.device.mcu != *self.device.file {
            return broken("the MCU is to start an image that is not the file");
        }
        self.device.mcu_marked = is_last;
        self.device.has_started |= is_last;
        if self.agent.ota_action(self.board, if is_last { 3 } else { 2 }).is_ok() && is_last {
            self.queue(9);
        }
        Ok(())
    }

    /// The application has everything before `at`.
    pub(super) fn mark(&mut self, at: u32) -> Checked {
        match self.agent.ota_checkpoint(self.board, at) {
            _ if self.is_off() => {}
            Ok(()) => self.device.marked = at,
            // Flash that does not take it is no reason to stop.
            Err(_) if self.device.scenario.faults.is_some() => {}
            other => return broken(format!("the mark {at} was not taken: {other:?}")),
        }
        Ok(())
    }

    pub(super) fn check_success(&self) -> Checked {
        let Device { scenario, mcu, file, module_version, has_started, .. } = &*self.device;
        let right = match scenario.is_module() {
            true => *module_version == "FWV2",
            // A platform that does not know of the success may begin once more, while the report still waits.
            false => *mcu == **file || (scenario.faults.is_some() && *has_started),
        };
        if right { Ok(()) } else { broken("success without the new version") }
    }
}
