//! What the device reports: status and info, by itself and when asked, its versions and how its upgrade goes.

use crate::frame::Frame;
use crate::mqtt::{Qos, Trouble};
use crate::ttlv::{self, Value, number, text};
use crate::{FieldDevice, command, credential};

impl FieldDevice {
    /// Answers a question for status or versions; says whether it was one.
    pub fn answer(&mut self, question: &Frame) -> Result<bool, Trouble> {
        let Some(bytes) = self.answer_to(question) else { return Ok(false) };
        self.publish("sys", Qos::Zero, &bytes)?;
        Ok(true)
    }

    /// The answer to a question for status or versions.
    pub fn answer_to(&self, question: &Frame) -> Option<Vec<u8>> {
        let value = |id: u16| match question.command {
            command::STATUS_ASK => self.status_value(id),
            _ => self.info_value(id),
        };
        let answer = match question.command {
            command::STATUS_ASK => command::STATUS_ANSWER,
            command::INFO_ASK => command::INFO_ANSWER,
            _ => return None,
        };
        let wanted = question.payload.chunks_exact(2).map(|id| u16::from_be_bytes([id[0], id[1]]));
        let items: Vec<_> = wanted.filter_map(|id| value(id).map(|value| (id, value))).collect();
        let frame = Frame { packet: question.packet, command: answer, payload: ttlv::emit(&items) };
        Some(match &self.session_key {
            Some(key) => credential::encrypt(key, &frame.emit()),
            None => frame.emit(),
        })
    }

    fn status_value(&self, id: u16) -> Option<Value> {
        match id {
            1 => Some(number(self.status.battery)),
            2 => Some(Value::Number { negative: false, decimals: 1, magnitude: 37 }),
            3 => Some(number(-71)),
            4 => Some(number(self.status.free_space)),
            5 => Some(number(self.status.rsrp)),
            _ => None,
        }
    }

    fn info_value(&self, id: u16) -> Option<Value> {
        let value = match id {
            1 => "EC200U",
            2 => &self.flash.module_version,
            3 => &self.mcu_list(),
            5 => "89860000000000000000",
            11 => self.sdk.version(),
            12 => "LBS",
            13 => "1.3.0",
            14 => "3.0.0",
            _ => return None,
        };
        Some(text(value))
    }

    /// `a:1;b:2`, as the device reports it.
    pub fn mcu_list(&self) -> String {
        let entries: Vec<_> =
            self.flash.components.iter().map(|(name, version)| format!("{name}:{version}")).collect();
        entries.join(";")
    }

    /// The reports that an SDK sends by itself after each connect: status 1..4 and info.
    pub fn report_after_connect(&mut self) -> Result<(), Trouble> {
        let bytes = self.status_report(&[1, 2, 3, 4]);
        self.publish("sys", Qos::One, &bytes)?;
        self.report_with(Qos::One)
    }

    /// 0x0034 with these ids.
    pub fn status_report(&mut self, ids: &[u16]) -> Vec<u8> {
        let status: Vec<_> = ids.iter().filter_map(|id| Some((*id, self.status_value(*id)?))).collect();
        self.seal(command::STATUS_REPORT, &ttlv::emit(&status))
    }

    /// The info report alone.
    pub fn report_with(&mut self, qos: Qos) -> Result<(), Trouble> {
        let bytes = self.info_report();
        self.publish("sys", qos, &bytes)
    }

    /// 0x0044.
    pub fn info_report(&mut self) -> Vec<u8> {
        let info: Vec<_> = [1, 2, 3, 5, 11, 12, 13, 14]
            .into_iter()
            .filter_map(|id| Some((id, self.info_value(id)?)))
            .collect();
        self.seal(command::INFO_REPORT, &ttlv::emit(&info))
    }

    /// Sends 0x0115.
    pub fn request_plan(&mut self) -> Result<(), Trouble> {
        let bytes = self.plan_request();
        self.publish("ota", Qos::Two, &bytes)
    }

    /// 0x0115.
    pub fn plan_request(&mut self) -> Vec<u8> {
        let mut items = vec![(25, text(&self.flash.module_version))];
        if !self.flash.components.is_empty() {
            items.push((26, text(&self.mcu_list())));
        }
        self.seal(command::PLAN_REQUEST, &ttlv::emit(&items))
    }

    /// The payload of 0x0114 for `state`.
    pub fn status_event(&self, state: i64, kind: i64, component: &str, wants_sha256: bool) -> Vec<u8> {
        let name = match state {
            1 => "REVICEPLAN",
            2 => "SUBMITOTA",
            3 => "REFUSEDOTA",
            4 => "DOWNLOADSTART",
            5 => "DOWNLOADING",
            6 => "DOWNLOADERROR",
            8 => "DOWNLOADSUCCESS",
            9 => "UPDATING",
            11 => "UPDATESUCCESS",
            12 => "UPDATEERROR",
            _ => "NOPLAN",
        };
        let mut items = vec![(13, number(state)), (14, text(name)), (7, number(kind)), (4, text(component))];
        if wants_sha256 {
            items.push((19, text("sha256")));
        }
        if state == 11 || state == 12 {
            items.push((25, text(&self.flash.module_version)));
            items.push((26, text(&self.mcu_list())));
        }
        ttlv::emit(&items)
    }

    /// Sends 0x0114.
    pub fn report_state(&mut self, state: i64, kind: i64, component: &str) -> Result<(), Trouble> {
        let payload = self.status_event(state, kind, component, false);
        let bytes = self.seal(command::STATUS_EVENT, &payload);
        self.publish("ota", Qos::Two, &bytes)
    }

    /// Confirms the plan and asks for a SHA-256 with it.
    pub fn confirm_with_sha256(&mut self, kind: i64, component: &str) -> Result<(), Trouble> {
        let payload = self.status_event(2, kind, component, true);
        let bytes = self.seal(command::STATUS_EVENT, &payload);
        self.publish("ota", Qos::Two, &bytes)
    }
}
