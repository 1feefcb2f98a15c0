//! Events for the application: what waits for it, and what the OTA events say (QUECTHING.md 2).

use super::outbox::{Full, Outbox};
use super::{Agent, Dialect, Event, EventValue};
use crate::clock::Deadline;
use crate::image::{Image, PlanRequirements};
use crate::limits;
use crate::ota::{Input, Offer, OtaEvent};
use crate::platform::{Level, Platform};
use crate::text::Text;
use crate::wire::event::{PieceEvent, PlanEvent, StartEvent};
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
    outbox: Outbox,
    pub(super) dialect: Dialect,
    /// The outbox is full; the application has until then to take something.
    full_until: Option<Deadline>,
}

impl Events {
    pub(super) const fn new() -> Self {
        Events { outbox: Outbox::new(), dialect: Dialect::V2_9, full_until: None }
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.outbox.pop()
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
    pub(super) fn make_room(&mut self, platform: &mut dyn Platform, now: u32) -> bool {
        let mut had_message = false;
        if self.outbox.has_room() {
            self.full_until = None;
        } else if self.full_until.get_or_insert(Deadline::after(now, TAKE_WAIT)).due(now) {
            while !self.outbox.has_room()
                && let Some(lost) = self.outbox.pop()
            {
                had_message |= lost.value == EventValue::Received;
                platform.log(Level::Error, LOST_EVENT);
            }
        }
        had_message
    }

    /// Appends an event. Inputs wait while the outbox is nearly full, so that one is lost takes an application that calls
    /// and calls and never takes an event.
    pub(super) fn emit(&mut self, platform: &mut dyn Platform, event: u8, code: u16, value: &EventValue) {
        if let Err(Full) = self.outbox.push(event, code, value) {
            platform.log(Level::Error, LOST_EVENT);
        }
    }
}

impl Agent<'_> {
    /// An event of the OTA table.
    pub(super) fn emit_event(&mut self, platform: &mut dyn Platform, event: OtaEvent, input: Input) {
        let is_mcu = self.machine.kind() == ComponentKind::Mcu;
        let (code, value) = match event {
            OtaEvent::Plans => return self.emit_plans(),
            OtaEvent::Recovered => (TASK_NOTIFY, EventValue::Text(offer_text(self.machine.offer()))),
            OtaEvent::Start if self.machine.announce() => (DOWNLOADING, EventValue::None),
            OtaEvent::Start if is_mcu => (START, EventValue::Text(start_text(self.machine.image()))),
            OtaEvent::Start => (START, EventValue::None),
            OtaEvent::Downloading => (DOWNLOADING, EventValue::None),
            OtaEvent::Downloaded if is_mcu => (DOWNLOADED, EventValue::Text(self.piece_text())),
            OtaEvent::Downloaded => (DOWNLOADED, EventValue::None),
            OtaEvent::Updating => (UPDATING, EventValue::None),
            OtaEvent::Success => (UPDATE_OK, self.ended()),
            OtaEvent::Failure => (UPDATE_FAIL, self.ended()),
            OtaEvent::Answer => {
                let Some(value) = self.answer_value(input) else { return };
                (ANSWER, value)
            }
        };
        self.events.emit(platform, OTA, code, &value);
    }

    /// 10700 for the plans of the first message, as many as the outbox takes. The message stays until all are emitted.
    #[inline(never)] // its texts are off the stack before the rest of a step
    pub(super) fn emit_plans(&mut self) {
        let first = self.inbox.next_plan().unwrap_or(0);
        let Ok(notify) = PlanNotify::parse(self.inbox.payload()) else { return };
        let mut next = None;
        for (index, plan) in notify.iter().enumerate().skip(first) {
            let value = EventValue::Text(plan_text(&plan));
            if self.events.outbox.push(OTA, TASK_NOTIFY, &value).is_err() {
                next = Some(index);
                break;
            }
        }
        self.inbox.set_next_plan(next);
    }

    /// 10707 is emitted for lists only, each dialect in its own form (QUECTHING.md 2). 2.9 says 0 for both answers, and
    /// applications read 0 as "confirmed".
    fn answer_value(&self, answer: Input) -> Option<EventValue> {
        match (self.events.dialect, self.machine.listed()) {
            (_, 0) => None,
            (Dialect::V2_9, _) => Some(EventValue::Number(0)),
            (Dialect::V2_10, 1) => None,
            (Dialect::V2_10, _) => {
                let text = if answer == Input::Confirm { "1" } else { "0" };
                Some(EventValue::Text(Text::of(text).unwrap_or_default()))
            }
        }
    }

    fn ended(&self) -> EventValue {
        EventValue::Ended(Text::of(&self.machine.image().component).unwrap_or_default())
    }

    fn piece_text(&self) -> Text<{ limits::EVENT_TEXT }> {
        let (image, piece) = (self.machine.image(), self.download.offered_piece());
        PieceEvent {
            component: &image.component,
            total: image.size,
            start: piece.start,
            length: piece.length,
        }
        .text()
        .unwrap_or_default()
    }
}

fn start_text(image: &Image) -> Text<{ limits::EVENT_TEXT }> {
    let Image { component, size, announced, .. } = image;
    StartEvent {
        component,
        size: *size,
        md5: announced.md5.unwrap_or_default(),
        crc: announced.crc32.unwrap_or_default(),
        sha256: announced.sha256,
    }
    .text()
    .unwrap_or_default()
}

fn offer_text(offer: &Offer) -> Text<{ limits::EVENT_TEXT }> {
    let Offer { image: Image { component, target, .. }, source, requirements } = offer;
    let PlanRequirements { battery, signal, space } = *requirements;
    PlanEvent { component, source, target, battery, signal, space }.text().unwrap_or_default()
}

fn plan_text(plan: &Plan<'_>) -> Text<{ limits::EVENT_TEXT }> {
    PlanEvent {
        component: plan.component,
        source: plan.source,
        target: plan.target,
        battery: plan.battery,
        signal: plan.signal,
        space: plan.space,
    }
    .text()
    .unwrap_or_default() // every field is within its limit, and EVENT_TEXT is made for that
}
