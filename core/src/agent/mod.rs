//! One device: drives [`crate::ota`] and [`crate::cloud`] over a [`Platform`], one step at a time.
//!
//! The agent owns no thread, socket, clock or file. Firmware calls [`Agent::poll`] again and again, hands in what
//! its network brings through the `on_*` calls, and takes events out with [`Agent::next_event`], which are there
//! only after the state has changed; so an action called on an event is always accepted as the state allows.
mod configuration;
mod inbox;
mod keep;
mod link;
mod mark;
mod outbox;
mod restart;
mod step;
mod unasked;
mod upgrade;
mod uplink;
mod word;

use crate::clock::Deadline;
pub use crate::cloud::{Mode, WorkState};
use crate::cloud::{Reports, Session};
use crate::limits;
pub use crate::ota::Failure;
use crate::ota::digest::{Announced, Digests};
use crate::ota::journal::Journal;
use crate::ota::staging::Staging;
use crate::ota::{Machine, NotNow};
pub use crate::platform::{Delivery, FetchEnd, FetchHead, Link, TransportEvent};
use crate::platform::{Level, Platform};
use crate::text::Text;
use crate::wire::frame::{Command, PacketId};
use inbox::{Inbox, Taken};
use keep::Mark;
use outbox::Outbox;
use restart::Restart;
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

/// The value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one event is on the stack at a time, and there is no heap
pub enum EventValue {
    /// NULL, 0.
    None,
    /// A text of QUECTHING.md 2.
    Text(Text<{ limits::EVENT_TEXT }>),
    /// A 32-bit number (10707 of the 2.9 dialect).
    Number(u32),
}

/// Why an application's call had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection mode must be idle for this.
    #[error("only while the connection mode is idle")]
    NotIdle,
    /// Empty, too long, or not of the right form.
    #[error("the value is empty, too long or not of the right form")]
    Value,
    /// No session with the platform.
    #[error("not connected to the platform")]
    Offline,
    /// The OTA state does not allow it.
    #[error("not allowed in the present OTA state")]
    State,
    /// Product key, secret or server are not set.
    #[error("product key, product secret or server is not set")]
    Incomplete,
    /// Outside the piece that is staged.
    #[error("outside the staged piece")]
    Range,
    /// Storage failed, or gave other bytes than were written.
    #[error("storage failed, or gave other bytes than were written")]
    Storage,
}

/// Milliseconds until the next poll is due; 0: at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub u32);

/// One device.
pub struct Agent<'b> {
    inbox: Inbox<'b>,
    outbox: Outbox,
    session: Session,
    machine: Machine,
    reports: Reports,
    uplink: Uplink,
    dialect: Dialect,
    /// The piece of `machine.image` that is in the image area.
    staging: Option<Staging>,
    /// Of `machine.image` from its first byte to the last one staged.
    digests: Digests,
    /// Where the image can go on after a reboot or a storage error.
    mark: Mark,
    /// From where on the application takes the present piece: its start, or the application's mark within it.
    base: Mark,
    /// The application's own mark: it has all bytes before it in its flash. At 0: it said nothing.
    own: Mark,
    journal: Option<Journal>,
    /// Reports are in the journal.
    reports_kept: bool,
    /// An upgrade that a reboot interrupted is to be offered again.
    recovered: bool,
    /// The platform asks nobody about this plan (id 27).
    unasked: bool,
    /// Such a plan is confirmed once the application took its 10700, or then.
    unasked_until: Option<Deadline>,
    /// The module image was handed to the platform's apply.
    applied: bool,
    /// The application holds module firmware back.
    holds_apply: bool,
    /// What an upgrade that a reboot interrupted waits for.
    resumes: Resume,
    /// What this start means for the upgrade.
    restart: Restart,
    /// Starts since the upgrade got further.
    restarts: u8,
    /// Bytes of the image that were staged at best.
    furthest: u32,
    /// A plan for something else came in mid-upgrade; it is asked for again at the end.
    passed_over: bool,
    /// The hardware id, as the platform told it at start.
    hardware_id: Text<{ limits::DEVICE_KEY }>,
    /// The module's version, and the application's text behind it.
    software: Text<{ 2 * limits::VERSION }>,
    /// Bytes of `software` that are the module's.
    module_length: usize,
    /// Mode 1 of the last plan request: SHA-256 is wanted.
    wants_sha256: bool,
    /// The next plan of the first message in the inbox whose 10700 is to be told.
    next_plan: Option<usize>,
    /// The first message in the inbox waits for an answer before it to leave.
    held: bool,
    /// Plan and firmware packets of this connection that were handled: MQTT may bring them twice.
    handled: [Option<(PacketId, Command)>; 4],
    /// The outbox is full; the application has until then to take something.
    patience: Option<Deadline>,
    /// The transport could not start the fetch; once more then.
    fetch_again: Option<Deadline>,
}

/// Life and clock.
impl<'b> Agent<'b> {
    /// `receive` holds whole messages until they are handled: at least [`limits::RECEIVE_BUFFER_MIN`] bytes.
    pub fn new(receive: &'b mut [u8]) -> Self {
        // Nothing large in a variable: it would be on the stack of whoever makes a device.
        let nothing = Digests::of(&Announced::default());
        let start = Mark { offset: 0, digests: nothing };
        Agent {
            inbox: Inbox::new(receive),
            outbox: Outbox::new(),
            session: Session::new(),
            reports: Reports::new(),
            uplink: Uplink::new(),
            dialect: Dialect::default(),
            staging: None,
            digests: nothing,
            mark: start,
            base: start,
            own: start,
            machine: Machine::new(),
            journal: None,
            reports_kept: false,
            recovered: false,
            unasked: false,
            unasked_until: None,
            applied: false,
            holds_apply: false,
            resumes: Resume::default(),
            restart: Restart::Weighed,
            restarts: 0,
            furthest: 0,
            passed_over: false,
            hardware_id: Text::new(),
            software: Text::new(),
            module_length: 0,
            wants_sha256: false,
            next_plan: None,
            held: false,
            handled: [None; 4],
            patience: None,
            fetch_again: None,
        }
    }

    /// The next event, oldest first. Deliver it with no lock held, then ask again.
    pub fn next_event(&mut self) -> Option<Event> {
        self.outbox.pop()
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
                true
            }
        }
    }
}

/// OTA, as `Ql_iotCmdOta*`.
impl Agent<'_> {
    /// Asks the platform for a plan (0x0115). Mode 1 also asks for SHA-256.
    pub fn request_plan(&mut self, platform: &mut dyn Platform, mode: u32) -> Result<(), CallError> {
        if mode > 1 {
            platform.log(Level::Warn, "plan request: the mode must be 0 or 1 (1: SHA-256)");
            return Err(CallError::Value);
        }
        if !self.session.is_online() {
            return Err(CallError::Offline);
        }
        self.wants_sha256 = mode == 1;
        self.uplink.plan_request = true;
        Ok(())
    }

    /// The state as reported in data point 13 (QUECTHING.md 3.1), and how far the download is.
    pub fn ota_progress(&self) -> Progress {
        Progress {
            state: self.machine.state().number(),
            received: self.received(),
            size: self.machine.image.size,
            failure: self.machine.failure,
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
    /// Why the last thing that failed did, until the next plan or a success.
    pub failure: Option<Failure>,
}

impl From<NotNow> for CallError {
    fn from(NotNow: NotNow) -> Self {
        CallError::State
    }
}
