//! What devices send, and what it does.

use quecota_core::wire::frame::{Command, Frame};
use quecota_core::wire::message::{
    Capabilities, Downloaded, InfoValues, McuList, OtaStatus, PlanRequest, Provision, SDK_PREFIX, Signature,
    StatusEvent, StatusExtension, StatusValues, Versions,
};
use serde_json::json;

use super::device_transaction::{ComponentInput, DeviceTransaction};
use super::{Engine, EngineError, Message, Result};
use crate::metrics::Count;
use crate::rules::ComponentNo;
use crate::rules::component_fsm::Input;
use crate::rules::eligibility::{StatusAsk, Trigger};
use crate::store::{DeviceId, Reading, ReportedVersion, Upgrade};

/// Longest text of a device that is stored, in characters.
const TEXT_MAX: usize = 256;

/// A device's text as it may be stored: PostgreSQL takes no NUL, and nobody a line break in a version.
fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(TEXT_MAX).collect()
}

impl Engine {
    pub(super) async fn take(&self, device: DeviceId, frame: &Frame<'_>) -> Result<Vec<Message>> {
        let answered = matches!(
            frame.command,
            Command::PLAN_REQUEST
                | Command::STATUS_EVENT
                | Command::STATUS_REPORT
                | Command::STATUS_ANSWER
                | Command::INFO_REPORT
                | Command::INFO_ANSWER
        );
        if !answered {
            // Business data and notices are not OTA's; they cost no transaction.
            return Ok(Vec::new());
        }
        let mut transaction = self.transaction(device).await?;
        transaction.device.last_seen = Some(transaction.now);
        let taken = match frame.command {
            Command::PLAN_REQUEST => transaction.plan_request(frame).await,
            Command::STATUS_EVENT => transaction.status_event(frame).await,
            Command::INFO_REPORT | Command::INFO_ANSWER => transaction.info(frame).await,
            _ => transaction.status(frame).await,
        };
        match taken {
            Err(EngineError::Malformed { command, reason }) => {
                // Parsing comes before any change, so only the log entry is committed.
                let open = transaction.store.open_upgrades(device).await?;
                let upgrade = open.iter().find(|upgrade| upgrade.is_outstanding());
                let value = json!({ "command": format!("{command:#06x}"), "reason": reason });
                transaction.log(upgrade, None, "malformed", value).await?;
                transaction.finish().await?;
                Err(EngineError::Malformed { command, reason })
            }
            Err(error) => Err(error),
            Ok(()) => transaction.finish().await,
        }
    }
}

fn malformed(command: Command, error: impl std::fmt::Display) -> EngineError {
    EngineError::Malformed { command: command.0, reason: error.to_string() }
}

impl DeviceTransaction<'_> {
    /// Whether the same packet was counted just before: then this one is its repetition.
    fn is_repetition(&mut self, frame: &Frame<'_>) -> bool {
        let digest = crc32fast::hash(frame.payload);
        let uplink =
            format!("{}:{:04x}:{}:{digest:08x}", frame.packet.get(), frame.command.0, frame.payload.len());
        let repeated = self.device.last_uplink.as_deref() == Some(uplink.as_str());
        self.device.last_uplink = Some(uplink);
        repeated
    }

    /// 0x0115.
    async fn plan_request(&mut self, frame: &Frame<'_>) -> Result<()> {
        let request = PlanRequest::parse(frame.payload).map_err(|error| malformed(frame.command, error))?;
        if self.is_repetition(frame) {
            return Ok(());
        }
        if self.take_versions(&request.versions).await? {
            self.device.versions_at = Some(self.now);
        }
        self.take_reported_versions(None).await?;
        self.offer(Trigger::Request).await
    }

    /// 0x0114.
    async fn status_event(&mut self, frame: &Frame<'_>) -> Result<()> {
        let event = StatusEvent::parse(frame.payload).map_err(|error| malformed(frame.command, error))?;
        if self.is_repetition(frame) {
            return Ok(());
        }
        self.store.count(Count::Status(event.status.text()));
        let mut value = json!({ "status": event.status.number(), "text": event.status.text() });
        // Ids from 8000 up have this meaning only where it was agreed.
        let StatusExtension { reason, progress } =
            if self.is_quecota() { event.extension } else { StatusExtension::default() };
        let reason = reason.map(|reason| {
            let text = clean(reason.text);
            value["reason"] = reason.number.into();
            value["reason_text"] = text.as_str().into();
            if text.is_empty() {
                format!("reason {}", reason.number)
            } else {
                format!("{text} (reason {})", reason.number)
            }
        });
        let name = ComponentNo::new(event.component).ok();
        if name.is_none() {
            value["component"] = clean(event.component).into();
        }
        // Found before the versions are looked at: they may end the upgrade that this status belongs to.
        let found = self.upgrade_of(event.component).await?;
        match &found {
            Some((upgrade, index)) => {
                let component = upgrade.components.get(*index).map(|component| component.component.clone());
                self.log(Some(upgrade), component.as_ref(), "status", value).await?;
            }
            None => {
                let upgrades = self.store.device_upgrades(self.device.id).await?;
                let holds = |upgrade: &&Upgrade| {
                    upgrade.components.iter().any(|component| component.component.as_str() == event.component)
                };
                let last = upgrades.iter().rev().find(holds);
                let kind = if last.is_some() { "late status" } else { "stray status" };
                self.log(last, name.as_ref(), kind, value).await?;
            }
        }
        let proves = event.status == OtaStatus::UpdateSuccess;
        let has_versions = self.take_versions(&event.versions).await?;
        if let Some((mut upgrade, index)) = found {
            if has_versions && proves {
                self.take_reported_versions(Some((upgrade.id, index))).await?;
                upgrade = self.store.upgrade(upgrade.id).await?;
            }
            if let Some(progress) = progress {
                self.take_progress(&upgrade, index, progress).await?;
            }
            let wants_sha256 = event.signature == Some(Signature::Sha256);
            if upgrade.ended.is_none() && !(proves && has_failed(&upgrade, index)) {
                let word = ComponentInput { input: Input::Status(event.status), wants_sha256, reason };
                self.apply(&mut upgrade, index, word).await?;
            }
        }
        if has_versions && !proves {
            self.take_reported_versions(None).await?;
        }
        Ok(())
    }

    /// Whether the device said that it is one of ours, which is when ids from 8000 up mean something.
    fn is_quecota(&self) -> bool {
        self.device.sdk_version.as_deref().is_some_and(|version| version.starts_with(SDK_PREFIX))
    }

    /// The device knows best how much of the image it has. A heartbeat's number is no line of the log: that would be
    /// one for each.
    async fn take_progress(&mut self, upgrade: &Upgrade, index: usize, progress: Downloaded) -> Result<()> {
        let Some(component) = upgrade.components.get(index) else { return Ok(()) };
        let files = self.store.package(component.package).await?.content.files;
        let size: u64 = files.iter().map(|file| file.size).sum();
        let received = u64::from(progress.received).min(size);
        Ok(self.store.raise_fetched(upgrade.id, &component.component, received).await?)
    }

    /// The open upgrade and the place in it that a status for `component` belongs to: first one that is at work or was
    /// offered, then one that waits. A device that lost the name (QUECTHING.md 3.3) means the one whose turn it is.
    async fn upgrade_of(&mut self, component: &str) -> Result<Option<(Upgrade, usize)>> {
        let open = self.store.open_upgrades(self.device.id).await?;
        let place = |upgrade: &Upgrade| {
            if component.is_empty() {
                return upgrade.current();
            }
            upgrade.components.iter().position(|upgrade| upgrade.component.as_str() == component)
        };
        let (busy, waiting): (Vec<_>, Vec<_>) = open.into_iter().partition(Upgrade::is_outstanding);
        Ok(busy.into_iter().chain(waiting).find_map(|upgrade| {
            let index = place(&upgrade)?;
            Some((upgrade, index))
        }))
    }

    /// 0x0044 and 0x0042.
    async fn info(&mut self, frame: &Frame<'_>) -> Result<()> {
        let info = InfoValues::parse(frame.payload).map_err(|error| malformed(frame.command, error))?;
        if !info.module_model.is_empty() {
            self.device.model = Some(clean(info.module_model));
        }
        if !info.sdk_version.is_empty() {
            self.device.sdk_version = Some(clean(info.sdk_version));
        }
        // Said by this packet, so by the device that is there now: a vendor's must never get what follows.
        if info.sdk_version.starts_with(SDK_PREFIX) {
            let told = Provision { capabilities: Some(Capabilities::ALL), ..Provision::default() };
            self.send(Command::PROVISION, |out| told.emit(out))?;
        }
        let versions = Versions { module: info.module_version, mcu: info.mcu_list.unwrap_or("") };
        let told = self.take_versions(&versions).await?;
        if info.mcu_list == Some("") {
            self.take_mcu_versions("").await?;
        }
        if !told && info.mcu_list.is_none() {
            return Ok(());
        }
        // Versions that come with a status do not count here: the report after the connect is still to come.
        let first = self.device.versions_at.is_none();
        self.device.versions_at = Some(self.now);
        self.take_reported_versions(None).await?;
        if first { self.offer(Trigger::Online).await } else { Ok(()) }
    }

    /// 0x0034 and 0x0032.
    async fn status(&mut self, frame: &Frame<'_>) -> Result<()> {
        let status = StatusValues::parse(frame.payload).map_err(|error| malformed(frame.command, error))?;
        let reading =
            |value: Option<i32>| value.map(|value| Reading { value: value.into(), at: Some(self.now) });
        let device = &mut self.device;
        device.battery = reading(status.battery).or(device.battery);
        device.rsrp = reading(status.rsrp).or(device.rsrp);
        device.signal = status.signal.map(i64::from).or(device.signal);
        let free = status.flash_free.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        device.free_space = free.or(device.free_space);
        if let Some(volts) = status.voltage {
            device.voltage = Some(volts.text().as_str().to_owned());
        }
        if frame.command == Command::STATUS_ANSWER
            && let Some(StatusAsk::Waiting(trigger)) = self.device.asked_status
        {
            self.device.asked_status = Some(StatusAsk::Answered);
            self.offer(trigger).await?;
        }
        Ok(())
    }

    /// Stores versions that a packet carries, and says whether it carried any. An absent field changes nothing.
    async fn take_versions(&mut self, versions: &Versions<'_>) -> Result<bool> {
        let module = clean(versions.module);
        if !module.is_empty() {
            self.device.module_version = Some(module);
        }
        if !versions.mcu.is_empty() {
            self.take_mcu_versions(versions.mcu).await?;
        }
        Ok(!versions.module.is_empty() || !versions.mcu.is_empty())
    }

    async fn take_mcu_versions(&mut self, list: &str) -> Result<()> {
        let mut reported: Vec<ReportedVersion> = McuList::of(list)
            .filter_map(|(component, version)| {
                // A name that breaks the rule cannot be in a plan, so its version is of no use.
                Some(ReportedVersion {
                    component: ComponentNo::new(component).ok()?,
                    version: clean(version),
                })
            })
            .collect();
        reported.sort_by(|a, b| a.component.cmp(&b.component));
        reported.dedup_by(|a, b| a.component == b.component);
        if reported != self.versions {
            self.store.set_device_versions(self.device.id, &reported).await?;
            self.versions = reported;
        }
        Ok(())
    }
}

fn has_failed(upgrade: &Upgrade, index: usize) -> bool {
    use crate::rules::progress::ComponentState::{DownloadFailed, Failed};
    upgrade.components.get(index).is_some_and(|component| matches!(component.state, DownloadFailed | Failed))
}
