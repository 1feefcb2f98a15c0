//! How statuses are sent: once or several times, in order or not, on a new connection if the old one broke.

use super::{DeviceRunner, Interrupt, Subject, Until};
use crate::mqtt::{Qos, Trouble, packet, publish};
use crate::script::{Conduct, Delivery};
use crate::{TraceEvent, command};

impl DeviceRunner {
    /// A last status, with what was held back before or after it.
    pub(super) fn end(
        &mut self,
        status: i64,
        about: Subject<'_>,
        conduct: &Conduct,
    ) -> Result<(), Interrupt> {
        if conduct.delivery == Delivery::Reordered {
            self.held.reverse();
            self.flush()?;
        }
        self.send_status(status, about.kind, about.component, conduct.delivery)?;
        self.flush()?;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Trouble> {
        for (status, kind, component) in std::mem::take(&mut self.held) {
            self.send_status(status, kind, &component, Delivery::Once)?;
        }
        Ok(())
    }

    /// Reports a status, on a new connection if the old one broke: of those that were lost the last one goes.
    pub(super) fn send_status_through(
        &mut self,
        status: i64,
        about: Subject<'_>,
        delivery: Delivery,
        until: &Until<'_>,
    ) -> Result<(), Interrupt> {
        if self.send_status(status, about.kind, about.component, delivery).is_err() {
            self.reconnect(until)?;
        }
        Ok(())
    }

    pub(super) fn send_status(
        &mut self,
        status: i64,
        kind: i64,
        component: &str,
        delivery: Delivery,
    ) -> Result<(), Trouble> {
        let wants = status == 2 && self.script.wants_sha256;
        let payload = self.device.status_event(status, kind, component, wants);
        let bytes = self.device.seal(command::STATUS_EVENT, &payload);
        let sent = match delivery {
            Delivery::Twice => self.publish_again_and_again(&bytes),
            _ => self.device.publish("ota", Qos::Two, &bytes),
        };
        match sent {
            Ok(()) => {
                self.record(TraceEvent::Status(status, component.into()));
                Ok(())
            }
            Err(trouble) => {
                self.cached = Some((status, kind, component.into()));
                Err(trouble)
            }
        }
    }

    /// The vendor's resend, at its worst: before PUBREC, and between it and PUBREL; none says DUP.
    fn publish_again_and_again(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let topic = format!("q/2/d/{}/ota", self.device.client_id());
        let link = self.device.link()?;
        let id = link.take_id();
        let message = publish(&topic, Qos::Two, id, bytes);
        link.send(&[&message[..], &message].concat())?;
        link.expect_id(0x50, id)?;
        link.send(&message)?;
        link.expect_id(0x50, id)?;
        link.send(&packet(0x62, &id.to_be_bytes()))?;
        link.expect_id(0x70, id)
    }
}
