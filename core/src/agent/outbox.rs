//! Events that wait for the application, as bytes in a ring: most have no value, some a text of 200 characters.

use super::events::{DOWNLOADING, OTA};
use super::{Event, EventValue};
use crate::limits;
use crate::text::Text;

/// The value of an event on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'v> {
    None,
    Number(u32),
    Text(&'v str),
    /// See [`EventValue::Ended`].
    Ended(&'v str),
    /// See [`EventValue::Received`].
    Received,
}

/// Entry: event, code (big endian), value tag, value.
const HEAD: usize = 4;
const NONE: u8 = 0;
const NUMBER: u8 = 1;
const TEXT: u8 = 2;
const RECEIVED: u8 = 3;
const ENDED: u8 = 4;

/// Oldest first.
#[repr(C)] // the ring at the end
pub(super) struct Outbox {
    first: usize,
    used: usize,
    /// The newest entry is a heartbeat.
    ends_in_heartbeat: bool,
    ring: [u8; limits::OUTBOX],
}

/// The outbox is full: the application takes no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Outbox {
    pub(super) const fn new() -> Self {
        Outbox { first: 0, used: 0, ends_in_heartbeat: false, ring: [0; limits::OUTBOX] }
    }

    /// Whether the events of one step fit: a longest text and a few without value.
    pub(super) fn has_room(&self) -> bool {
        limits::OUTBOX - self.used.min(limits::OUTBOX) >= limits::EVENT_TEXT + 64
    }

    /// Whether the application has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Appends an event. A heartbeat (10702) behind a heartbeat is not appended: nothing is lost by that.
    pub(super) fn push(&mut self, event: u8, code: u16, value: Value<'_>) -> Result<(), Full> {
        let is_heartbeat = (event, code) == (OTA, DOWNLOADING);
        if is_heartbeat && self.ends_in_heartbeat && self.used > 0 {
            return Ok(());
        }
        let size = HEAD
            + match value {
                Value::None | Value::Received => 0,
                Value::Number(_) => 4,
                Value::Text(text) | Value::Ended(text) => 2 + text.len(),
            };
        if size > limits::OUTBOX - self.used.min(limits::OUTBOX) {
            return Err(Full);
        }
        self.put(event);
        self.put_all(&code.to_be_bytes());
        match value {
            Value::None => self.put(NONE),
            Value::Received => self.put(RECEIVED),
            Value::Number(number) => {
                self.put(NUMBER);
                self.put_all(&number.to_be_bytes());
            }
            Value::Text(text) | Value::Ended(text) => {
                self.put(if matches!(value, Value::Ended(_)) { ENDED } else { TEXT });
                self.put_all(&(text.len() as u16).to_be_bytes());
                self.put_all(text.as_bytes());
            }
        }
        self.ends_in_heartbeat = is_heartbeat;
        Ok(())
    }

    /// Takes the oldest out, to `into`. `false`: there is none.
    pub(super) fn pop(&mut self, into: &mut Event) -> bool {
        if self.used == 0 {
            return false;
        }
        into.event = self.take().into();
        into.code = self.take_u16().into();
        // Assigned where it is made: a temporary of this size would be moved.
        match self.take() {
            NUMBER => {
                let (high, low) = (self.take_u16(), self.take_u16());
                into.value = EventValue::Number(u32::from(high) << 16 | u32::from(low));
            }
            TEXT => into.value = EventValue::Text(Text::new()),
            ENDED => into.value = EventValue::Ended(Text::new()),
            RECEIVED => into.value = EventValue::Received,
            _ => into.value = EventValue::None,
        }
        if let EventValue::Text(text) | EventValue::Ended(text) = &mut into.value {
            let length = self.take_u16();
            text.replace(length.into(), &mut |bytes| bytes.fill_with(|| self.take()));
        }
        true
    }

    fn put_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(*byte);
        }
    }

    fn put(&mut self, byte: u8) {
        let at = (self.first + self.used) % limits::OUTBOX;
        if let Some(place) = self.ring.get_mut(at) {
            *place = byte;
            self.used += 1;
        }
    }

    fn take_u16(&mut self) -> u16 {
        u16::from(self.take()) << 8 | u16::from(self.take())
    }

    fn take(&mut self) -> u8 {
        let byte = self.ring.get(self.first).copied().unwrap_or_default();
        self.used = self.used.saturating_sub(1);
        self.first = (self.first + 1) % limits::OUTBOX;
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop(outbox: &mut Outbox) -> Option<Event> {
        let mut event = Event::NONE;
        outbox.pop(&mut event).then_some(event)
    }

    #[test]
    fn events_come_out_as_they_went_in_across_the_ring_s_end() {
        let mut outbox = Outbox::new();
        let words = "x".repeat(limits::EVENT_TEXT);
        let text = EventValue::Text(Text::of(&words).unwrap());
        for round in 0..50u16 {
            outbox.push(7, 10700 + round, Value::Text(&words)).unwrap();
            outbox.push(7, 10707, Value::Number(0xDEAD_BEEF)).unwrap();
            outbox.push(2, 10200, Value::None).unwrap();
            assert_eq!(
                pop(&mut outbox),
                Some(Event { event: 7, code: i32::from(10700 + round), value: text })
            );
            assert_eq!(
                pop(&mut outbox),
                Some(Event { event: 7, code: 10707, value: EventValue::Number(0xDEAD_BEEF) })
            );
            assert_eq!(pop(&mut outbox), Some(Event { event: 2, code: 10200, value: EventValue::None }));
            assert_eq!(pop(&mut outbox), None);
        }
    }

    #[test]
    fn a_full_outbox_refuses_and_keeps_what_it_has() {
        let mut outbox = Outbox::new();
        let mut count = 0u16;
        while outbox.push(7, count, Value::None).is_ok() {
            count += 1;
        }
        assert!(!outbox.has_room() && count > 32);
        for code in 0..count {
            assert_eq!(pop(&mut outbox).unwrap().code, i32::from(code));
        }
    }

    #[test]
    fn heartbeats_that_nobody_takes_are_one() {
        let mut outbox = Outbox::new();
        for _ in 0..1000 {
            outbox.push(7, 10702, Value::None).unwrap();
        }
        assert!(pop(&mut outbox).is_some());
        assert_eq!(pop(&mut outbox), None);
        outbox.push(7, 10702, Value::None).unwrap();
        assert!(pop(&mut outbox).is_some());
    }
    #[test]
    fn two_components_of_a_list_that_end_alike_are_two_events() {
        let mut outbox = Outbox::new();
        for code in [10705, 10705, 10706, 10706] {
            outbox.push(7, code, Value::None).unwrap();
        }
        let codes: std::vec::Vec<i32> =
            core::iter::from_fn(|| pop(&mut outbox)).map(|event| event.code).collect();
        assert_eq!(codes, [10705, 10705, 10706, 10706]);
    }
}
