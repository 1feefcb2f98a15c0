//! What the device does at an offer: phase by phase, as its script says.

use std::time::{Duration, Instant};

use super::{DeviceRunner, Interrupt, POLL, Subject, URL_WAIT, Until};
use crate::mqtt::{Qos, Trouble};
use crate::script::{Conduct, Delivery, Ending, Phase, Sdk};
use crate::{Firmware, Plan, TraceEvent, command, download, firmware_of};

impl DeviceRunner {
    /// An offer: the last component of a list is the one that the answers name (QUECTHING.md 3.3).
    pub(super) fn offered(&mut self, plans: &[Plan], until: &Until<'_>) -> Result<(), Interrupt> {
        let conduct = self.script.conduct(self.offers);
        self.offers += 1;
        self.record(TraceEvent::Offered(plans.to_vec()));
        let Some(Plan { component, kind, target, .. }) = plans.last() else { return Ok(()) };
        if conduct.ending == Ending::Ignore {
            return Ok(());
        }
        let about = Subject { component, kind: *kind, target };
        self.enter(Phase::Received, about, &conduct, until)?;
        if conduct.ending == Ending::Refuse {
            return Ok(self.send_status(3, *kind, component, conduct.delivery)?);
        }
        self.enter(Phase::Confirmed, about, &conduct, until)?;
        let firmware = self.await_url(until)?;
        let Some(firmware) = firmware else {
            return self.end(12, about, &conduct);
        };
        if let Some(stranger) = &conduct.stranger {
            self.send_status(5, 1, &stranger.clone(), conduct.delivery)?;
        }
        self.upgrade(&firmware, &conduct, until)
    }

    fn await_url(&mut self, until: &Until<'_>) -> Result<Option<Firmware>, Interrupt> {
        let end = Instant::now() + URL_WAIT;
        while Instant::now() < end {
            if self.exit_reason(until).is_some() {
                return Err(Interrupt::Stop);
            }
            match self.device.next_frame(POLL) {
                Ok(frame) if self.device.answer(&frame)? => {}
                // Another plan is not looked at in this state.
                Ok(frame) if frame.command != command::FIRMWARE_INFO => {}
                Ok(frame) => {
                    return Ok(firmware_of(&frame.payload).ok());
                }
                Err(Trouble::Timeout(_)) => {}
                Err(_) => self.reconnect(until)?,
            }
        }
        Ok(None)
    }

    /// Download, and what follows it.
    pub(super) fn upgrade(
        &mut self,
        firmware: &Firmware,
        conduct: &Conduct,
        until: &Until<'_>,
    ) -> Result<(), Interrupt> {
        let Firmware { component, target, kind, .. } = firmware;
        let about = Subject { component, kind: *kind, target };
        self.record(TraceEvent::Url(component.clone()));
        if !firmware.files.is_empty() {
            self.enter(Phase::Starting, about, conduct, until)?;
            self.enter(Phase::Downloading, about, conduct, until)?;
            for file in &firmware.files {
                let bytes = download::fetch_at(&file.url, 0, file.size.saturating_sub(1), conduct.pace);
                if bytes.map(|bytes| download::md5(&bytes)) != Ok(file.md5.clone()) {
                    return self.end(6, about, conduct);
                }
            }
            self.enter(Phase::Downloaded, about, conduct, until)?;
            self.record(TraceEvent::Image(component.clone(), firmware.size));
            return self.apply(about, conduct, until);
        }
        let piece = match kind {
            0 => firmware.size,
            _ => u64::try_from(self.device.status.free_space).unwrap_or(0).max(1),
        };
        let mut image = Vec::new();
        while (image.len() as u64) < firmware.size {
            let from = image.len() as u64;
            let last = firmware.size.min(from.saturating_add(piece)) - 1;
            self.enter(Phase::Starting, about, conduct, until)?;
            if conduct.ending == Ending::Hang(Phase::Downloading) {
                self.hanging = download::ask(&firmware.url, from, last).ok();
            }
            self.enter(Phase::Downloading, about, conduct, until)?;
            match download::fetch_at(&firmware.url, from, last, conduct.pace) {
                Ok(bytes) => image.extend(bytes),
                Err(why) => {
                    self.record(TraceEvent::Trouble(why));
                    return self.end(6, about, conduct);
                }
            }
            self.enter(Phase::Downloaded, about, conduct, until)?;
        }
        if download::md5(&image) != firmware.md5 {
            self.record(TraceEvent::Trouble(format!(
                "the image of {component} has another MD5 than announced"
            )));
            return self.end(if *kind == 0 { 6 } else { 12 }, about, conduct);
        }
        self.record(TraceEvent::Image(component.clone(), firmware.size));
        self.apply(about, conduct, until)
    }

    fn apply(&mut self, about: Subject<'_>, conduct: &Conduct, until: &Until<'_>) -> Result<(), Interrupt> {
        self.enter(Phase::Upgrading, about, conduct, until)?;
        let (version, status) = match &conduct.ending {
            Ending::Lie(version) => (version.as_str(), Some(11)),
            Ending::Wrong(version) => (version.as_str(), Some(12)),
            Ending::Mute => (about.target, None),
            _ => (about.target, Some(11)),
        };
        self.forget_what_came(until)?;
        self.runs(about, version);
        if about.kind == 0 {
            // A module starts with its new firmware.
            self.record(TraceEvent::Reboot);
            self.device.goodbye();
            self.online = false;
            self.cached = None;
            self.reconnect(until)?;
        }
        match status {
            Some(status) => {
                self.upgrades += usize::from(status == 11 && version == about.target);
                self.end(status, about, conduct)
            }
            None => {
                self.upgrades += 1;
                self.device.report_with(Qos::One)?;
                self.flush()?;
                Ok(())
            }
        }
    }

    fn runs(&mut self, about: Subject<'_>, version: &str) {
        match about.kind {
            0 => self.device.flash.module_version = version.into(),
            _ => self.device.set_version(about.component, version),
        }
        self.record(TraceEvent::Runs(about.component.into(), version.into()));
    }

    /// What came while the device was busy is not looked at; questions are answered.
    fn forget_what_came(&mut self, until: &Until<'_>) -> Result<(), Interrupt> {
        loop {
            match self.device.next_frame(Duration::from_millis(1)) {
                Ok(frame) => {
                    self.device.answer(&frame)?;
                }
                Err(Trouble::Timeout(_)) => return Ok(()),
                Err(_) => self.reconnect(until)?,
            }
        }
    }

    /// Reports the phase, and does what the script says of it.
    fn enter(
        &mut self,
        phase: Phase,
        about: Subject<'_>,
        conduct: &Conduct,
        until: &Until<'_>,
    ) -> Result<(), Interrupt> {
        let Subject { component, kind, target } = about;
        let holds = phase >= Phase::Starting;
        match conduct.delivery {
            Delivery::Late | Delivery::Reordered if holds => {
                self.held.push((phase.status(), kind, component.into()));
            }
            delivery => self.send_status_through(phase.status(), about, delivery, until)?,
        }
        match &conduct.ending {
            Ending::Fail { status, at } if *at == phase => {
                self.end(*status, about, conduct)?;
                Err(Interrupt::Over)
            }
            Ending::Die(at) if *at == phase => Err(Interrupt::Gone),
            Ending::Leave(at) if *at == phase => {
                self.device.goodbye();
                Err(Interrupt::Gone)
            }
            Ending::Hang(at) if *at == phase => self.hang(until),
            Ending::Reboot(at) if *at == phase => {
                self.recover(phase, about);
                Err(Interrupt::Reboot)
            }
            Ending::Early(at) if *at == phase => {
                self.forget_what_came(until)?;
                self.runs(about, target);
                self.upgrades += 1;
                self.device.report_with(Qos::One)?;
                self.end(11, about, conduct)?;
                if self.script.sdk == Sdk::V2_9_0 {
                    // The download that it broke off is reported after all (QUECTHING.md 3.6 #8).
                    self.send_status(6, kind, component, Delivery::Once)?;
                }
                Err(Interrupt::Over)
            }
            _ => Ok(()),
        }
    }

    /// What is left of an upgrade after a reboot (QUECTHING.md 3.5).
    fn recover(&mut self, phase: Phase, about: Subject<'_>) {
        self.held.clear();
        let status = match (phase, about.kind) {
            (Phase::Received, _) => return,
            // The MCU goes on by itself.
            (Phase::Upgrading, 1) => {
                self.runs(about, about.target);
                self.upgrades += 1;
                11
            }
            (Phase::Upgrading, _) => 12,
            _ => 6,
        };
        self.cached = Some((status, about.kind, about.component.into()));
    }

    /// Online, and silent.
    fn hang(&mut self, until: &Until<'_>) -> Result<(), Interrupt> {
        loop {
            if self.exit_reason(until).is_some() {
                return Err(Interrupt::Stop);
            }
            match self.device.next_frame(POLL) {
                Ok(frame) => {
                    self.device.answer(&frame)?;
                }
                Err(Trouble::Timeout(_)) => self.keep_alive()?,
                Err(_) => self.reconnect(until)?,
            }
        }
    }
}
