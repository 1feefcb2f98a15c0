//! One device: joins [`crate::ota`], [`crate::cloud`] and [`crate::journal`] over a [`Platform`], one step at a time.
//!
//! The agent owns no thread, socket, clock or file. Firmware calls [`Agent::poll`] again and again, hands in what its
//! network brings ([`Agent::on_transport`], or the `on_*` calls), and takes events out with [`Agent::next_event`], which
//! are there only after the state has changed; so an action called on an event is accepted as the state allows.
mod apply;
mod auto_confirm;
mod boot_loop;
mod checkpoint;
mod configuration;
mod connection;
mod controls;
mod download;
mod events;
mod inbox;
mod messages;
mod outbox;
mod persistence;
mod plan;
mod poll;
mod transition;
mod uplink;

pub use crate::cloud::{Mode, WorkState};
use crate::cloud::{Reports, Session};
use crate::limits;
pub use crate::ota::Failure;
use crate::ota::{Download, InvalidState, Machine, State};
pub use crate::platform::{Delivery, Encoding, FetchEnd, FetchHead, Link, TransportEvent};
use crate::platform::{Level, Platform};
use crate::text::Text;
use apply::Apply;
use auto_confirm::AutoConfirm;
use boot_loop::BootLoop;
use configuration::Identity;
use events::Events;
use inbox::{Inbox, Taken};
use messages::Messages;
pub use messages::{Outgoing, SendError};
use persistence::{Persistence, Recovery};
use uplink::Uplink;

/// Whether the transport is to go on with a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Give me the next bytes.
    Continue,
    /// Drop this fetch; nothing more of it is wanted.
    Stop,
}

/// The vendor SDK generation whose event conventions the application expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `Ql_iotApi.h`: UNAUTH 9, 10707 as a number.
    #[default]
    V2_9,
    /// `ql_api_qthsdk.h`: UNAUTH 10, 10707 as text.
    V2_10,
}

/// How an upgrade goes on that was confirmed before a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resume {
    /// It is offered again (10700), and waits for an answer: the battery may be lower now.
    #[default]
    Asking,
    /// By itself; the next event is 10701.
    AtOnce,
}

/// One event for the application: `(event, code, value)` of QUECTHING.md 1.4 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// `QIOT_ATEVENT_TYPE_*`.
    pub event: u32,
    /// `QIOT_OTA_*`, `QIOT_AUTH_*` ...
    pub code: i32,
    /// What comes with it.
    pub value: EventValue,
}

impl Event {
    /// No event yet; [`Agent::take_event`] fills it.
    pub const NONE: Event = Event { event: 0, code: 0, value: EventValue::None };
}

/// The value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one event is on the stack at a time, and there is no heap
pub enum EventValue {
    /// NULL, 0.
    None,
    /// A text of QUECTHING.md 2.
    Text(Text<{ limits::EVENT_TEXT }>),
    /// NULL, 0, at the end of an upgrade of this component.
    Ended(Text<{ limits::EVENT_TEXT }>),
    /// A 32-bit number (10707 of the 2.9 dialect, the packet id of a message that was sent in the 2.10 dialect).
    Number(u32),
    /// What [`Agent::received`] gives.
    Received,
}

/// Why an application's call had no effect. The numbers are those of the C API, so that nothing has to translate them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum CallError {
    /// Empty, too long, or not of the right form.
    #[error("the value is empty, too long or not of the right form")]
    Value = 10,
    /// The connection mode must be idle for this.
    #[error("only while the connection mode is idle")]
    NotIdle = 11,
    /// No session with the platform.
    #[error("not connected to the platform")]
    Offline = 12,
    /// The OTA state does not allow it.
    #[error("not allowed in the present OTA state")]
    State = 13,
    /// Product key, secret or server are not set.
    #[error("product key, product secret or server is not set")]
    Incomplete = 14,
    /// Outside the piece that is staged.
    #[error("outside the staged piece")]
    Range = 15,
    /// Storage failed, or gave other bytes than were written.
    #[error("storage failed, or gave other bytes than were written")]
    Storage = 16,
}

/// Milliseconds until the next poll is due; 0: at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub u32);

/// One device. In this order what is used often is near its start, which takes less code.
#[repr(C)]
pub struct Agent<'b> {
    machine: Machine,
    uplink: Uplink,
    apply: Apply,
    recovery: Recovery,
    auto_confirm: AutoConfirm,
    boot_loop: BootLoop,
    inbox: Inbox<'b>,
    messages: Messages<'b>,
    persistence: Persistence,
    session: Session,
    download: Download,
    events: Events,
    identity: Identity,
    reports: Reports,
}

impl<'b> Agent<'b> {
    /// `receive` holds whole messages until they are handled: at least [`limits::RECEIVE_BUFFER_MIN`] bytes.
    // The large parts are constants of zeros, so they are zeroed where the caller wants them and are never on the stack.
    #[inline(always)]
    pub fn new(receive: &'b mut [u8]) -> Self {
        Agent {
            machine: const { Machine::new() },
            uplink: Uplink::new(),
            apply: Apply::new(),
            recovery: Recovery::new(),
            auto_confirm: AutoConfirm::new(),
            boot_loop: BootLoop::new(),
            inbox: Inbox::new(receive),
            messages: Messages::new(),
            persistence: Persistence::new(),
            session: Session::new(),
            download: const { Download::new() },
            events: const { Events::new() },
            identity: const { Identity::new() },
            reports: const { Reports::new() },
        }
    }

    /// The next event, oldest first. Deliver it with no lock held, then ask again.
    pub fn next_event(&mut self) -> Option<Event> {
        let mut event = Event::NONE;
        self.take_event(&mut event).then_some(event)
    }

    /// The same, written to `event`. `false`: there is none.
    pub fn take_event(&mut self, event: &mut Event) -> bool {
        self.inbox.release();
        let is_there = self.events.pop(event);
        if is_there && event.value == EventValue::Received {
            self.inbox.hand_over();
        }
        is_there
    }
}

/// What the transport brings.
impl Agent<'_> {
    /// Takes one event of the transport; the same as the `on_*` call for it.
    pub fn on_transport(&mut self, platform: &mut dyn Platform, event: TransportEvent<'_>) -> Delivery {
        let flow = match event {
            TransportEvent::Link(link) => {
                self.on_link(platform, link);
                Flow::Continue
            }
            TransportEvent::Message { topic, payload } => {
                if !self.on_message(platform, topic, payload) {
                    return Delivery::NoRoom;
                }
                Flow::Continue
            }
            TransportEvent::Sent { id, delivered } => {
                self.on_sent(platform, id, delivered);
                Flow::Continue
            }
            TransportEvent::FetchHead(head) => self.on_fetch_begin(platform, head),
            TransportEvent::FetchData(data) => self.on_fetch_data(platform, data),
            TransportEvent::FetchEnd(end) => {
                self.on_fetch_end(platform, end);
                Flow::Continue
            }
        };
        if flow == Flow::Stop { Delivery::Stop } else { Delivery::Taken }
    }

    /// A message on a topic; copied into the receive buffer and handled by the next poll. `false`: no room now,
    /// offer it again after a poll (do not acknowledge it). A message that can never fit is dropped with a log line.
    pub fn on_message(&mut self, platform: &mut dyn Platform, topic: &str, payload: &[u8]) -> bool {
        // One filter is subscribed, so what comes is ours; the leaf means nothing (QUECTHING.md 4.1).
        let _ = topic;
        match self.inbox.push(payload) {
            Taken::Queued => true,
            Taken::NoRoom => false,
            Taken::TooLong => {
                platform.log(Level::Error, "a message longer than the receive buffer was dropped");
                if self.machine.state() == State::Confirmed {
                    // The reason, should no URL come in time: nothing else that is awaited here is long.
                    self.machine.set_failure(Failure::UrlTooLong);
                }
                true
            }
        }
    }
}

impl Agent<'_> {
    /// The state as reported in data point 13 (QUECTHING.md 3.1), and how far the download is.
    pub fn ota_progress(&self) -> Progress {
        Progress {
            state: self.machine.state().number(),
            received: self.download.received(),
            size: self.machine.image().size,
            failure: self.machine.failure(),
        }
    }
}

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Data point 13: 0..=12.
    pub state: u8,
    /// Bytes of the file that are downloaded.
    pub received: u32,
    /// Bytes of the file in all; 0 before it is known.
    pub size: u32,
    /// Why the last thing that failed did, until the next plan is answered or a success.
    pub failure: Option<Failure>,
}

impl From<InvalidState> for CallError {
    fn from(InvalidState: InvalidState) -> Self {
        CallError::State
    }
}
