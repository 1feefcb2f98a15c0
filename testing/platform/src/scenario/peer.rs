//! What stands at the other end: broker, platform, server and bootloader.

use quecota_core::agent::Failure;
use quecota_core::platform::{Delivery, FetchEnd, FetchHead, Link, Range, TransportEvent};
use quecota_core::wire::frame::Frame;
use quecota_core::wire::message::{
    Capabilities, Content, Downlink, FirmwareInfo, PackageFile, PlanNotify, Plans, Provision, Records, Uplink,
};

use super::device::Stopped;
use super::life::Life;
use super::*;
use crate::harness::{self, DEVICE_SECRET, URL};
use crate::mock_platform::Asked;

impl Life<'_, '_> {
    /// Broker, platform, server and bootloader.
    pub(super) fn answer(&mut self, asked: Asked) -> Checked<Stopped> {
        match asked {
            Asked::Connect { password, .. } => {
                self.is_bootstrap = password.starts_with("0;");
                if self.is_bootstrap && self.device.has_secret && !self.device.scenario.is_forgetful() {
                    return broken("the device forgot its secret");
                }
                self.is_linked = true;
                let _ = self.deliver(TransportEvent::Link(Link::Connected));
            }
            Asked::Subscribe(_) => {
                let _ = self.deliver(TransportEvent::Link(Link::Subscribed));
                if self.is_bootstrap && !self.is_off() {
                    let device_secret = DEVICE_SECRET;
                    self.send(&Downlink::Provision(Provision { device_secret, ..Provision::default() }))?;
                }
            }
            Asked::Publish { .. } if !self.is_linked => {}
            Asked::Publish { mut payload, id, .. } => {
                self.receive(&mut payload)?;
                let _ = self.deliver(TransportEvent::Sent { id, delivered: true });
            }
            Asked::Fetch { url, range } => self.serve(&url, range)?,
            Asked::Apply(_) | Asked::ApplyFiles(_) => return Ok(Stopped::Restart),
            Asked::Disconnect => self.is_linked = false,
            Asked::FetchCancel => {}
        }
        Ok(Stopped::Done)
    }

    pub(super) fn send(&mut self, message: &Downlink<'_>) -> Checked {
        let mut buffer = [0; 1024];
        let packet = self.device.packet;
        self.device.packet = packet.next();
        let Ok(length) = message.emit_frame(packet, &mut buffer) else {
            return broken("no room for a packet");
        };
        let _ = self.deliver(TransportEvent::Message { topic: "q/1/d/x/ota", payload: &buffer[..length] });
        Ok(())
    }

    /// The platform gets a packet.
    pub(super) fn receive(&mut self, payload: &mut [u8]) -> Checked {
        let Ok(frame) = Frame::parse(payload) else { return broken("the device sent what is no frame") };
        let plan = self.device.scenario.plan();
        match Uplink::parse(&frame) {
            Ok(Uplink::InfoReport(info)) => {
                // What has the secret comes again with it.
                self.device.has_secret = true;
                let is_there = match plan.kind {
                    ComponentKind::Module => info.module_version == plan.target,
                    ComponentKind::Mcu => info.mcu_list == Some("MCU:2"),
                };
                let known = self.device.confirmed
                    && !self.device.scenario.has_journal_rot()
                    && !matches!(
                        self.device.scenario.upgrade,
                        Upgrade::Pieces | Upgrade::Marked | Upgrade::Brief
                    );
                if self.device.scenario.upgrade == Upgrade::Loop {
                    let capabilities = Some(Capabilities::REASONS);
                    self.send(&Downlink::Provision(Provision { capabilities, ..Provision::default() }))?;
                }
                // What a device runs is the truth, whatever it says of its upgrade.
                self.device.succeeded |= is_there && self.device.scenario.is_forgetful();
                if is_there || known { Ok(()) } else { self.offer(plan) }
            }
            Ok(Uplink::PlanRequest(_)) if self.device.is_there() || self.device.is_given_up() => Ok(()),
            Ok(Uplink::PlanRequest(_)) => self.offer(plan),
            Ok(Uplink::StatusEvent(event)) => match self.arrives(event.status.number(), event.component) {
                2 => {
                    self.device.confirmed = true;
                    self.give_url(plan)
                }
                11 => {
                    self.device.succeeded = true;
                    self.device.is_told = true;
                    self.check_success()
                }
                12 if self.device.scenario.upgrade == Upgrade::Loop => {
                    self.device.failed += 1;
                    match event.extension.reason {
                        Some(reason) if reason.number == Failure::Restarts as u16 => Ok(()),
                        reason => broken(format!("the platform was told of a failure for {reason:?}")),
                    }
                }
                12 if self.device.scenario.faults.is_some() => {
                    self.device.failed += 1;
                    self.device.confirmed = false;
                    Ok(())
                }
                6 if self.device.scenario.faults.is_some() || self.device.scenario.rot.is_some() => Ok(()),
                6 if self.device.scenario.upgrade == Upgrade::Corrupt => {
                    self.device.is_corruption_known = true;
                    Ok(())
                }
                status @ (3 | 6 | 7 | 10 | 12) => broken(format!("the platform was told status {status}")),
                _ => Ok(()),
            },
            Ok(_) => Ok(()),
            Err(error) => broken(format!("the device sent no message: {}", error.in_words(frame.payload))),
        }
    }

    pub(super) fn offer(&mut self, plan: Plan<'_>) -> Checked {
        self.send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan) }))
    }

    pub(super) fn give_url(&mut self, plan: Plan<'_>) -> Checked {
        let (md5, crc) = self.device.announced();
        let served = self.device.scenario.files();
        let files: Vec<PackageFile<'_>> = (10u32..)
            .zip(&served)
            .map(|(index, (url, start, size))| {
                let md5 = harness::md5_of(&self.device.file[*start..start + size]);
                PackageFile { index, url, size: *size as u32, md5 }
            })
            .collect();
        let content = match self.device.scenario.upgrade {
            Upgrade::Package => Content::Files(Records::of(&files)),
            _ => Content::File { url: URL, size: self.device.file.len() as u32, md5, crc, sha256: None },
        };
        let Plan { component, source, target, kind, .. } = plan;
        self.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }))
    }

    pub(super) fn serve(&mut self, url: &str, range: Range) -> Checked {
        let files = self.device.scenario.files();
        let Some((_, base, size)) = files.iter().find(|(known, ..)| known == url) else {
            return broken(format!("{url} was asked for"));
        };
        let mut file = self.device.file[*base..base + size].to_vec();
        if self.device.scenario.upgrade == Upgrade::Corrupt && !self.device.is_corruption_known {
            file[CORRUPT_AT] ^= 1;
        }
        let Range { start, length } = range;
        let total = Some(*size as u32);
        let head =
            FetchHead { status: 206, first: start, length: Some(length), total, ..FetchHead::default() };
        self.fetched = base + start as usize;
        if self.deliver(TransportEvent::FetchHead(head)) == Delivery::Stop {
            return Ok(());
        }
        for chunk in file[start as usize..(start + length) as usize].chunks(CHUNK) {
            self.device.served += chunk.len() as u64;
            if self.deliver(TransportEvent::FetchData(chunk)) == Delivery::Stop || self.is_off() {
                return Ok(());
            }
        }
        let _ = self.deliver(TransportEvent::FetchEnd(FetchEnd::Complete));
        Ok(())
    }
}
