//! What devices say, and what it does.

use serde_json::json;

use super::device_transaction::DeviceTransaction;
use super::message::{Info, Packet, Readings, Reason, StatusEvent, Subject, Uplink, Versions};
use super::working_set::HEARD_WITHIN;
use super::{Downlink, Engine, Result};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::component_fsm::{OtaStatus, is_quecota};
use crate::rules::readings::StatusAsk;
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::{Input, StatusReport};
use crate::store::{Device, Reading, Upgrade};

/// Kind of the log lines for fields that could not be read.
const IGNORED_FIELD: &str = "ignored field";
/// Log lines of a device in which one like it is looked for.
const LOOKED_BACK: i64 = 100;

impl Engine {
    /// What of the reports on the device's present connection was not understood, the last of it.
    pub async fn not_understood(&self, device: &Device) -> Result<Option<String>> {
        let Some(since) = device.online_since else { return Ok(None) };
        let log = self.store.read().await?.device_log(device.id, LOOKED_BACK).await?;
        let told = log
            .iter()
            .rev()
            .find(|line| (line.kind == IGNORED_FIELD || line.kind == "malformed") && line.last_at >= since);
        Ok(told.and_then(|line| line.value["reason"].as_str().map(str::to_owned)))
    }
}

impl DeviceTransaction<'_> {
    pub(super) async fn take(&mut self, packet: Packet) -> Result<()> {
        self.device.last_seen = Some(self.now);
        self.log_ignored(&packet.ignored).await?;
        match packet.uplink {
            Uplink::PlanRequest(_) | Uplink::StatusEvent(_) if self.is_repetition(&packet.identity) => Ok(()),
            Uplink::PlanRequest(versions) => self.plan_request(versions).await,
            Uplink::StatusEvent(event) => self.status_event(event).await,
            Uplink::Info(info) => self.info(info).await,
            Uplink::StatusAnswer(readings) => self.status_answer(readings).await,
            // What a device tells by itself may be the answer: SDK 2.9 has no other.
            Uplink::StatusReport(readings) if readings.battery.is_some() || readings.rsrp.is_some() => {
                self.status_answer(readings).await
            }
            Uplink::StatusReport(readings) => {
                self.take_readings(readings);
                Ok(())
            }
            Uplink::Malformed { command, reason } => self.malformed(command, &reason).await,
        }
    }

    /// Whether the same packet was counted just before: then this one is its repetition.
    fn is_repetition(&mut self, identity: &str) -> bool {
        let repeated = self.device.last_uplink.as_deref() == Some(identity);
        self.device.last_uplink = Some(identity.to_owned());
        repeated
    }

    /// Each field that could not be read is in the device's log once per connection.
    async fn log_ignored(&mut self, fields: &[String]) -> Result<()> {
        if fields.is_empty() {
            return Ok(());
        }
        let since = self.device.online_since.unwrap_or_default();
        let known = self.store.direct().await?.device_log(self.device.id, LOOKED_BACK).await?;
        for field in fields {
            let value = json!({ "reason": field });
            let is_known = known
                .iter()
                .any(|line| line.kind == IGNORED_FIELD && line.last_at >= since && line.value == value);
            if !is_known {
                self.log(None, None, IGNORED_FIELD, value).await?;
            }
        }
        Ok(())
    }

    /// The log of the upgrade that is going on has it; nothing else changes.
    async fn malformed(&mut self, command: u16, reason: &str) -> Result<()> {
        let open = self.store.open_upgrades(self.device.id);
        let upgrade = open.iter().find(|upgrade| upgrade.is_outstanding());
        let value = json!({ "command": format!("{command:#06x}"), "reason": reason });
        self.log(upgrade, None, "malformed", value).await
    }

    async fn plan_request(&mut self, versions: Versions) -> Result<()> {
        if self.take_versions(versions) {
            self.device.versions_at = self.heard_at(self.device.versions_at);
        }
        self.apply_versions(None).await?;
        self.offer(Trigger::Request).await
    }

    async fn status_event(&mut self, event: StatusEvent) -> Result<()> {
        self.store.count(Count::Status(event.status.text()));
        let mut value = json!({ "status": event.status.number(), "text": event.status.text() });
        // Ids from 8000 up have this meaning only where it was agreed.
        let (reason, received) =
            if self.is_quecota() { (event.reason, event.received) } else { (None, None) };
        let reason = reason.map(|Reason { number, text }| {
            value["reason"] = number.into();
            value["reason_text"] = text.as_str().into();
            if text.is_empty() { format!("reason {number}") } else { format!("{text} (reason {number})") }
        });
        match &event.component {
            Subject::Component(_) => {}
            Subject::Unnamed => value["component"] = "".into(),
            Subject::Invalid(text) => value["component"] = text.as_str().into(),
        }
        // Found before the versions are looked at: they may end the upgrade that this status belongs to.
        let found = self.upgrade_of(&event.component).await?;
        match &found {
            Some((upgrade, index)) => {
                let part = upgrade.components.get(*index);
                if let Some(fetched @ 1..) = part.map(|part| part.fetched)
                    && event.status == OtaStatus::Downloaded
                {
                    value["bytes"] = fetched.into();
                }
                let component = part.map(|part| part.component.clone());
                self.log(Some(upgrade), component.as_ref(), "status", value).await?;
            }
            None => {
                let upgrades = self.store.device_upgrades(self.device.id).await?;
                let last =
                    upgrades.iter().rev().find(|upgrade| position(upgrade, &event.component).is_some());
                let kind = if last.is_some() { "late status" } else { "stray status" };
                let name = match &event.component {
                    Subject::Component(name) => Some(name),
                    Subject::Unnamed | Subject::Invalid(_) => None,
                };
                self.log(last, name, kind, value).await?;
            }
        }
        let proves = event.status == OtaStatus::UpdateSuccess;
        let has_versions = self.take_versions(event.versions);
        if let Some((mut upgrade, index)) = found {
            if has_versions && proves {
                self.apply_versions(Some((upgrade.id, index))).await?;
                upgrade = self.store.upgrade(upgrade.id).await?;
            }
            if let Some(received) = received {
                self.lock_plan_of(&upgrade).await?;
                self.take_progress(&upgrade, index, received).await?;
            }
            let has_failed = upgrade.components.get(index).is_some_and(|part| part.state.has_failed());
            if upgrade.ended.is_none() && !(proves && has_failed) {
                let StatusEvent { status, wants_sha256, .. } = event;
                let report = StatusReport { position: index, status, wants_sha256, reason };
                self.apply_locked(&mut upgrade, Input::Status(report)).await?;
            }
        }
        if has_versions && !proves {
            self.apply_versions(None).await?;
        }
        Ok(())
    }

    /// Whether the device said that it runs quecota, which is when ids from 8000 up mean something.
    fn is_quecota(&self) -> bool {
        self.device.sdk_version.as_deref().is_some_and(is_quecota)
    }

    /// Takes the number of bytes that the device says it has of the image. It gets no line of the log: that would be one
    /// for each heartbeat.
    async fn take_progress(&mut self, upgrade: &Upgrade, index: usize, received: u32) -> Result<()> {
        let Some(component) = upgrade.components.get(index) else { return Ok(()) };
        let package = self.store.package(self.device.id, component.package).await?;
        let size: u64 = package.content.files.iter().map(|file| file.size).sum();
        let received = u64::from(received).min(size);
        self.store.raise_fetched(upgrade.id, &component.component, received).await
    }

    /// The open upgrade and the place in it that a status for `component` belongs to: first one that is at work or was
    /// offered, then one that waits. A status without a name is about the component whose turn it is.
    async fn upgrade_of(&mut self, component: &Subject) -> Result<Option<(Upgrade, usize)>> {
        let open = self.store.open_upgrades(self.device.id);
        let place = |upgrade: &Upgrade| match component {
            Subject::Unnamed => upgrade.current(),
            named => position(upgrade, named),
        };
        let (busy, waiting): (Vec<_>, Vec<_>) = open.into_iter().partition(Upgrade::is_outstanding);
        Ok(busy.into_iter().chain(waiting).find_map(|upgrade| {
            let index = place(&upgrade)?;
            Some((upgrade, index))
        }))
    }

    async fn info(&mut self, info: Info) -> Result<()> {
        // Said by this packet, so by the device that is there now: a vendor's must never get what follows.
        if info.sdk_version.as_deref().is_some_and(is_quecota) {
            self.messages.push(Downlink::Capabilities);
        }
        let device = &mut self.device;
        device.model = info.model.or(device.model.take());
        device.sdk_version = info.sdk_version.or(device.sdk_version.take());
        if !self.take_versions(info.versions) {
            return Ok(());
        }
        // Versions that come with a status do not count here: the report after the connect is still to come.
        let first = self.device.versions_at.is_none();
        self.device.versions_at = self.heard_at(self.device.versions_at);
        self.apply_versions(None).await?;
        if first { self.offer(Trigger::Online).await } else { Ok(()) }
    }

    /// The answer to a question that an offer waits for.
    async fn status_answer(&mut self, readings: Readings) -> Result<()> {
        self.take_readings(readings);
        match self.end_status_ask() {
            Some(trigger) => self.offer(trigger).await,
            None => Ok(()),
        }
    }

    /// The question for battery and signal is over; gives what the offer waited with for the answer, if one did.
    pub(super) fn end_status_ask(&mut self) -> Option<Trigger> {
        let StatusAsk::Waiting(trigger) = self.device.asked_status? else { return None };
        self.device.asked_status = Some(StatusAsk::Answered);
        Some(trigger)
    }

    /// When something was heard that was heard at `before`: a repetition within a minute changes nothing.
    fn heard_at(&self, before: Option<Millis>) -> Option<Millis> {
        let recent = before.filter(|before| *before <= self.now && self.now < *before + HEARD_WITHIN);
        recent.or(Some(self.now))
    }

    fn take_readings(&mut self, readings: Readings) {
        let reading = |value: Option<i64>, before: Option<Reading>| {
            let value = value?;
            let same = before.filter(|before| before.value == value).and_then(|before| before.at);
            Some(Reading { value, at: self.heard_at(same) })
        };
        let battery = reading(readings.battery, self.device.battery);
        let rsrp = reading(readings.rsrp, self.device.rsrp);
        let device = &mut self.device;
        device.battery = battery.or(device.battery);
        device.rsrp = rsrp.or(device.rsrp);
        device.signal = readings.signal.or(device.signal);
        device.free_space = readings.free_space.or(device.free_space);
        device.voltage = readings.voltage.or(device.voltage.take());
    }

    /// Stores versions that a packet carries, and says whether it carried any. An absent field changes nothing.
    fn take_versions(&mut self, versions: Versions) -> bool {
        let told = versions.is_told();
        let before = self.device.module.clone();
        if let Some(firmware) = versions.firmware.filter(|firmware| !firmware.is_empty()) {
            self.device.module.told_firmware(firmware);
        }
        if let Some(module) = versions.module.filter(|module| !module.is_empty()) {
            self.device.module.told_whole(module);
        }
        self.has_new_versions |= self.device.module != before;
        if let Some(reported) = versions.mcu.filter(|reported| *reported != self.versions) {
            self.store.save_versions(self.device.id, &reported);
            self.has_new_versions = true;
            self.versions = reported;
        }
        told
    }
}

/// The position of the named component in the upgrade.
fn position(upgrade: &Upgrade, component: &Subject) -> Option<usize> {
    let Subject::Component(name) = component else { return None };
    upgrade.components.iter().position(|component| component.component == *name)
}
