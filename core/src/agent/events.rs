//! Events for the application: what waits for it, and what the OTA events say (QUECTHING.md 2).

use super::outbox::{Full, Outbox, Value};
use super::{Agent, Dialect, Event, EventValue};
use crate::clock::Deadline;
use crate::image::{Image, PlanRequirements};
use crate::ota::{Input, Offer, OtaEvent};
use crate::platform::{Level, Platform};
use crate::text::TooLong;
use crate::wire::event::{EventText, PieceEvent, PlanEvent, StartEvent};
use crate::wire::message::{ComponentKind, Plan, PlanNotify};

/// `QIOT_ATEVENT_TYPE_OTA`.
pub(super) const OTA: u8 = 7;
const TASK_NOTIFY: u16 = 10700;
const START: u16 = 10701;
pub(super) const DOWNLOADING: u16 = 10702;
const DOWNLOADED: u16 = 10703;
const UPDATING: u16 = 10704;
const UPDATE_OK: u16 = 10705;
const UPDATE_FAIL: u16 = 10706;
const ANSWER: u16 = 10707;

/// The application has this long to take events when the outbox is full. Milliseconds.
const TAKE_WAIT: u32 = 10 * 60_000;
/// The application can find out no other way.
const LOST_EVENT: &str = "an event is lost: the application takes none";

/// Events that wait for the application.
pub(super) struct Events {
    pub(super) dialect: Dialect,
    /// The outbox is full; the application has until then to take something.
    full_until: Option<Deadline>,
    outbox: Outbox,
}

impl Events {
    pub(super) const fn new() -> Self {
        Events { dialect: Dialect::V2_9, full_until: None, outbox: Outbox::new() }
    }

    /// Takes the oldest out.
    pub(super) fn pop(&mut self, into: &mut Event) -> bool {
        self.outbox.pop(into)
    }

    /// Whether the events of one step fit.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Whether the application has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// An application that takes no event for so long takes none at all, and must not stop the device. Whether the event
    /// of a message was among those that are lost.
    #[inline(never)] // what is lost is off the stack before the rest of a step
    pub(super) fn make_room(&mut self, platform: &mut dyn Platform, now: u32) -> bool {
        let mut had_message = false;
        if self.outbox.has_room() {
            self.full_until = None;
        } else if self.full_until.get_or_insert(Deadline::after(now, TAKE_WAIT)).due(now) {
            let mut lost = Event::NONE;
            while !self.outbox.has_room() && self.outbox.pop(&mut lost) {
                had_message |= lost.value == EventValue::Received;
                platform.log(Level::Error, LOST_EVENT);
            }
        }
        had_message
    }

    /// Appends an event. Inputs wait while the outbox is nearly full, so that one is lost takes an application that calls
    /// and calls and never takes an event.
    pub(super) fn emit(&mut self, platform: &mut dyn Platform, event: u8, code: u16, value: Value<'_>) {
        if let Err(Full) = self.outbox.push(event, code, value) {
            platform.log(Level::Error, LOST_EVENT);
        }
    }
}

impl Agent<'_> {
    /// An event of the OTA table.
    pub(super) fn emit_event(&mut self, platform: &mut dyn Platform, event: OtaEvent, input: Input) {
        let is_mcu = self.machine.kind() == ComponentKind::Mcu;
        let code = match event {
            OtaEvent::Plans => return self.emit_plans(),
            OtaEvent::Recovered => return self.emit_text(platform, TASK_NOTIFY, Self::write_offer),
            OtaEvent::Start if self.machine.announce() => DOWNLOADING,
            OtaEvent::Start if is_mcu => return self.emit_text(platform, START, Self::write_start),
            OtaEvent::Start => START,
            OtaEvent::Downloading => DOWNLOADING,
            OtaEvent::Downloaded if is_mcu => return self.emit_text(platform, DOWNLOADED, Self::write_piece),
            OtaEvent::Downloaded => DOWNLOADED,
            OtaEvent::Updating => UPDATING,
            OtaEvent::Success => return self.emit_end(platform, UPDATE_OK),
            OtaEvent::Failure => return self.emit_end(platform, UPDATE_FAIL),
            OtaEvent::Answer => return self.emit_answer(platform, input),
        };
        self.events.emit(platform, OTA, code, Value::None);
    }

    #[inline(never)] // its text is off the stack before the next effect
    fn emit_text(
        &mut self,
        platform: &mut dyn Platform,
        code: u16,
        write: fn(&Self, &mut EventText) -> Result<(), TooLong>,
    ) {
        let mut text = EventText::new();
        // It fits, with every field at its limit.
        let _ = write(self, &mut text);
        self.events.emit(platform, OTA, code, Value::Text(&text));
    }

    /// 10700 for the plans of the first message, as many as the outbox takes. The message stays until all are emitted.
    #[inline(never)] // its texts are off the stack before the rest of a step
    pub(super) fn emit_plans(&mut self) {
        let first = self.inbox.next_plan().unwrap_or(0);
        let mut next = None;
        let mut text = EventText::new();
        for (index, plan) in PlanNotify::iter_checked(self.inbox.payload()).enumerate().skip(first) {
            let Plan { component, source, target, battery, signal, space, .. } = plan;
            let _ = PlanEvent { component, source, target, battery, signal, space }.write(&mut text);
            if self.events.outbox.push(OTA, TASK_NOTIFY, Value::Text(&text)).is_err() {
                next = Some(index);
                break;
            }
        }
        self.inbox.set_next_plan(next);
    }

    /// 10707 is emitted for lists only, each dialect in its own form (QUECTHING.md 2). 2.9 says 0 for both answers, and
    /// applications read 0 as "confirmed".
    fn emit_answer(&mut self, platform: &mut dyn Platform, answer: Input) {
        let value = match (self.events.dialect, self.machine.listed()) {
            (_, 0) | (Dialect::V2_10, 1) => return,
            (Dialect::V2_9, _) => Value::Number(0),
            (Dialect::V2_10, _) if answer == Input::Confirm => Value::Text("1"),
            (Dialect::V2_10, _) => Value::Text("0"),
        };
        self.events.emit(platform, OTA, ANSWER, value);
    }

    fn emit_end(&mut self, platform: &mut dyn Platform, code: u16) {
        self.events.emit(platform, OTA, code, Value::Ended(&self.machine.image().component));
    }

    fn write_offer(&self, text: &mut EventText) -> Result<(), TooLong> {
        let Offer { image: Image { component, target, .. }, source, requirements } = self.machine.offer();
        let PlanRequirements { battery, signal, space } = *requirements;
        PlanEvent { component, source, target, battery, signal, space }.write(text)
    }

    fn write_start(&self, text: &mut EventText) -> Result<(), TooLong> {
        let Image { component, size, announced, .. } = self.machine.image();
        let (md5, crc) = (announced.md5.unwrap_or_default(), announced.crc32.unwrap_or_default());
        StartEvent { component, size: *size, md5, crc, sha256: announced.sha256 }.write(text)
    }

    fn write_piece(&self, text: &mut EventText) -> Result<(), TooLong> {
        let (image, piece) = (self.machine.image(), self.download.offered_piece());
        let component = &image.component;
        PieceEvent { component, total: image.size, start: piece.start, length: piece.length }.write(text)
    }
}
