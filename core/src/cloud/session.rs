//! From "connect" to "online" and back (QUECTHING.md 4.1, 4.2), with the answers to 3.6 rows 16 and 17.

use super::{Mode, WorkState};
use crate::clock::{Deadline, backoff};
use crate::journal::Configuration;
use crate::limits;
use crate::platform::Link;
use crate::text::Text;
use crate::wire::message::{Provision, Reauthenticate};

/// Codes of events 1, 2, 3, 6 and 8 (QUECTHING.md 1.4).
pub mod codes {
    /// Done.
    pub const SUCCESS: u16 = 10200;
    /// Subscribe refused.
    pub const SUBSCRIBE_ERROR: u16 = 10300;
    /// The platform refuses the credentials.
    pub const REFUSED: u16 = 10430;
    /// MQTT version not served.
    pub const VERSION_NOT_FOUND: u16 = 10471;
    /// No network, or the connection closed.
    pub const NETWORK: u16 = 10474;
    /// The platform names another server or other credentials.
    pub const SERVER_CHANGE: u16 = 10475;
    /// Bootstrap failed without a more exact word.
    pub const AUTH_FAILED: u16 = 10500;
}

/// `QIOT_ATEVENT_TYPE_*` of the session (QUECTHING.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionEvent {
    /// Bootstrap.
    Auth = 1,
    /// Login and connection.
    Conn = 2,
    /// Subscription.
    Subscribe = 3,
    /// The application left.
    Logout = 6,
    /// A word from the platform.
    Server = 8,
}

/// What the agent is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Connect with the credentials of the moment.
    Connect,
    /// Close the connection.
    Disconnect,
    /// Subscribe to the downlink.
    Subscribe,
    /// Tell the application.
    Emit(SessionEvent, u16),
    /// The device secret changed: write the configuration.
    Save,
    /// The session is up: report what is reported after each subscribe.
    Online,
}

/// Keep-alive unless it is set, seconds (QUECTHING.md 1.2).
const LIFETIME: u16 = 120;
/// CONNECT sent and nothing came: name lookup, TCP, TLS and MQTT resends of QUECTHING.md 4.1 have had their time.
const LINK_WAIT: u32 = 60_000;
/// SUBSCRIBE is sent three times, 5 s apart (QUECTHING.md 4.1).
const SUBSCRIBE_WAIT: u32 = 20_000;
/// A platform that never sends the secret or the session key: 3.6 row 17.
const PROVISION_WAIT: u32 = 60_000;
/// First retry delays of QUECTHING.md 4.1, in ms. Each further failure doubles the delay, up to [`RETRY_MOST`]; the
/// vendor's rests half an hour after six failures, which a platform's restart brings about.
const RETRY_SHORT: u32 = 1_000;
const RETRY_MIDDLE: u32 = 30_000;
const RETRY_LONG: u32 = RETRY_MOST;
const RETRY_MOST: u32 = 10 * 60_000;
/// A link that lasted this long has worked: only then the retry delays begin anew. Else two devices with one key, which
/// throw each other out, or a broker that closes right after SUBACK would be tried at the shortest delay for ever.
const LASTED: u32 = 60_000;

/// A platform-given server is given up after this many failures (QUECTHING.md 4.2).
const GIVEN_SERVER_FAILURES: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Until the timer.
    Backoff,
    Connecting,
    Subscribing,
    /// Subscribed in bootstrap, no secret yet.
    AwaitingSecret,
    Online,
}

/// One device's session. In this order small members are near its start, which takes less code.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Session {
    mode: Mode,
    work: WorkState,
    phase: Phase,
    /// This connection began without a device secret.
    bootstrapping: bool,
    failures: u16,
    /// How often `given_server` failed.
    given_failures: u8,
    /// The next action of those that wait.
    next: u8,
    timer: Option<Deadline>,
    /// What the agent is to do, and has not done yet.
    actions: [Option<Action>; ACTIONS],
    key: Option<[u8; limits::SESSION_KEY]>,
    /// Device key: the application's, else the hardware id.
    pub device_key: Text<{ limits::DEVICE_KEY }>,
    /// A server that the platform named and that did not work yet (0x00B4 id 1).
    given_server: Text<{ limits::SERVER_URL }>,
    /// The platform's address where the application sets none; empty: there is none. Not kept over a reboot.
    pub default_server: Text<{ limits::SERVER_URL }>,
    /// MQTT user name; empty: none.
    pub user_name: Text<{ limits::USER_NAME }>,
    /// What is kept over a reboot.
    pub configuration: Configuration,
}

/// Actions that wait at most: no input gives more.
const ACTIONS: usize = 8;

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Nothing is configured yet.
    pub const fn new() -> Self {
        Session {
            configuration: Configuration::new(),
            device_key: Text::new(),
            default_server: Text::new(),
            user_name: Text::new(),
            mode: Mode::Idle,
            work: WorkState::Uninitialized,
            phase: Phase::Idle,
            bootstrapping: false,
            key: None,
            failures: 0,
            given_server: Text::new(),
            given_failures: 0,
            timer: None,
            actions: [None; ACTIONS],
            next: 0,
        }
    }

    /// What the agent is to do next, in the order in which the session asked for it.
    pub fn next_action(&mut self) -> Option<Action> {
        let action = self.actions.get_mut(usize::from(self.next)).and_then(Option::take);
        self.next = if action.is_some() { self.next.saturating_add(1) } else { 0 };
        action
    }

    fn act(&mut self, action: Action) {
        if let Some(free) = self.actions.iter_mut().skip(self.next.into()).find(|action| action.is_none()) {
            *free = Some(action);
        }
    }

    fn emit(&mut self, event: SessionEvent, code: u16) {
        self.act(Action::Emit(event, code));
    }

    /// The configuration is loaded.
    pub fn start(&mut self) {
        self.work = WorkState::Initialized;
    }

    /// As set.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// As the application sees it.
    pub fn work_state(&self) -> WorkState {
        self.work
    }

    /// Subscribed, and with a device secret.
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// Online, and with the session key where one is wanted: nothing leaves in the clear that was to be encrypted.
    pub fn may_send(&self) -> bool {
        self.is_online() && (!self.configuration.session_encryption || self.key.is_some())
    }

    /// The key that frames of this connection are encrypted with.
    pub fn session_key(&self) -> Option<&[u8; limits::SESSION_KEY]> {
        self.key.as_ref().filter(|_| cfg!(feature = "session"))
    }

    /// Keep-alive in seconds as it was set.
    pub fn lifetime(&self) -> u16 {
        match self.configuration.lifetime {
            0 => LIFETIME,
            seconds => seconds,
        }
    }

    /// Whether this connection authenticates by the product secret.
    pub fn is_bootstrapping(&self) -> bool {
        self.bootstrapping
    }

    /// Milliseconds until [`Session::tick`] has something to do.
    pub fn left(&self, now: u32) -> Option<u32> {
        self.timer.map(|at| at.left(now))
    }

    /// The application connects or leaves; the same mode again does nothing.
    pub fn set_mode(&mut self, mode: Mode, now: u32) {
        if mode == self.mode {
            return;
        }
        self.mode = mode;
        self.failures = 0;
        match mode {
            Mode::Request => self.connect(now),
            Mode::Idle => {
                self.phase = Phase::Idle;
                self.work = WorkState::Disconnected;
                self.timer = None;
                self.key = None;
                self.act(Action::Disconnect);
                self.emit(SessionEvent::Logout, codes::SUCCESS);
            }
        }
    }

    fn connect(&mut self, now: u32) {
        self.bootstrapping = self.configuration.device_secret.is_empty();
        self.phase = Phase::Connecting;
        self.work = if self.bootstrapping { WorkState::Authenticating } else { WorkState::Connecting };
        self.key = None;
        self.timer = Some(Deadline::after(now, LINK_WAIT));
        self.act(Action::Connect);
    }

    /// The platform could not start to connect or to subscribe.
    pub fn refused(&mut self, now: u32, random: u32) {
        self.on_link(Link::Lost, now, random);
    }

    /// The link changed. `random` is for the jitter.
    pub fn on_link(&mut self, link: Link, now: u32, random: u32) {
        match (self.phase, link) {
            (Phase::Connecting, Link::Connected) => {
                self.phase = Phase::Subscribing;
                if !self.bootstrapping {
                    self.work = WorkState::Connected;
                }
                self.timer = Some(Deadline::after(now, SUBSCRIBE_WAIT));
                self.act(Action::Subscribe);
            }
            (Phase::Connecting, Link::Refused(code)) => self.login_refused(code, now, random),
            (Phase::Subscribing, Link::Subscribed) if self.configuration.device_secret.is_empty() => {
                self.phase = Phase::AwaitingSecret;
                self.timer = Some(Deadline::after(now, PROVISION_WAIT));
            }
            (Phase::Subscribing, Link::Subscribed) => self.online(now),
            (Phase::Subscribing, Link::SubscribeRefused) => {
                self.back_off(RETRY_SHORT, now, random);
                self.work = WorkState::SubscribeFailed;
                self.act(Action::Disconnect);
                self.emit(SessionEvent::Subscribe, codes::SUBSCRIBE_ERROR);
            }
            (Phase::Idle | Phase::Backoff, _) => {}
            (_, Link::Lost | Link::Refused(_) | Link::SubscribeRefused) => {
                let code = if self.bootstrapping { codes::AUTH_FAILED } else { codes::NETWORK };
                self.fail(code, RETRY_SHORT, now, random);
            }
            _ => {}
        }
    }

    /// CONNACK 1..=5. Only a proven wrong signature (4) costs the secret; the vendor's gives it away for every code
    /// (3.6 row 16, QUECTHING.md 4.2).
    fn login_refused(&mut self, code: u8, now: u32, random: u32) {
        match code {
            1 => self.fail(codes::VERSION_NOT_FOUND, RETRY_LONG, now, random),
            4 if !self.bootstrapping => {
                self.configuration.device_secret.clear();
                self.fail(codes::REFUSED, RETRY_SHORT, now, random);
                self.act(Action::Save);
            }
            4 => self.fail(codes::REFUSED, RETRY_MIDDLE, now, random),
            2 | 5 => self.fail(codes::REFUSED, RETRY_LONG, now, random),
            _ => self.fail(codes::NETWORK, RETRY_SHORT, now, random),
        }
    }

    fn fail(&mut self, code: u16, base: u32, now: u32, random: u32) {
        let event = if self.bootstrapping { SessionEvent::Auth } else { SessionEvent::Conn };
        self.back_off(base, now, random);
        self.work = if self.bootstrapping { WorkState::AuthenticateFailed } else { WorkState::ConnectFailed };
        self.act(Action::Disconnect);
        self.emit(event, code);
    }

    fn back_off(&mut self, base: u32, now: u32, random: u32) {
        self.failures = self.failures.saturating_add(1);
        if !self.given_server.is_empty() {
            self.given_failures = self.given_failures.saturating_add(1);
            if self.given_failures >= GIVEN_SERVER_FAILURES {
                self.given_server.clear();
            }
        }
        let delay = backoff(base, u32::from(self.failures.saturating_sub(1)), RETRY_MOST, random);
        self.phase = Phase::Backoff;
        self.key = None;
        self.timer = Some(Deadline::after(now, delay));
    }

    fn online(&mut self, now: u32) {
        self.phase = Phase::Online;
        self.work = WorkState::Subscribed;
        let wait = if self.may_send() { LASTED } else { PROVISION_WAIT };
        self.timer = Some(Deadline::after(now, wait));
        if !self.given_server.is_empty() {
            // As long as the other.
            let _ = self.configuration.platform_server.set(&self.given_server);
            self.given_server.clear();
            self.act(Action::Save);
        }
        if core::mem::take(&mut self.bootstrapping) {
            self.emit(SessionEvent::Auth, codes::SUCCESS);
        }
        self.emit(SessionEvent::Conn, codes::SUCCESS);
        self.emit(SessionEvent::Subscribe, codes::SUCCESS);
        self.act(Action::Online);
    }

    /// A deadline may have come.
    pub fn tick(&mut self, now: u32, random: u32) {
        if !self.timer.is_some_and(|at| at.due(now)) {
            return;
        }
        self.timer = None;
        match self.phase {
            Phase::Idle => {}
            Phase::Backoff => self.connect(now),
            Phase::Online if self.may_send() => self.failures = 0,
            Phase::Connecting | Phase::Subscribing | Phase::AwaitingSecret | Phase::Online => {
                self.on_link(Link::Lost, now, random);
            }
        }
    }

    /// A 0x00B4.
    pub fn on_provision(&mut self, provision: &Provision<'_>, now: u32, random: u32) {
        if !matches!(self.phase, Phase::Subscribing | Phase::AwaitingSecret | Phase::Online) {
            return;
        }
        if self.configuration.session_encryption && provision.session_key.is_some() {
            self.key = provision.session_key;
            if self.is_online() {
                self.timer = Some(Deadline::after(now, LASTED));
            }
        }
        let secret = provision.device_secret;
        if self.bootstrapping
            && !secret.is_empty()
            && secret != self.configuration.device_secret.as_str()
            && self.configuration.device_secret.set(secret).is_ok()
        {
            self.act(Action::Save);
            if self.phase == Phase::AwaitingSecret {
                self.online(now);
            }
        }
        if provision.reconnects() {
            self.change(provision);
            self.back_off(RETRY_SHORT, now, random);
            self.work = WorkState::Disconnected;
            // Nothing else of this packet counts: the device comes again.
            self.actions = [None; ACTIONS];
            self.act(Action::Save);
            self.act(Action::Disconnect);
            self.emit(SessionEvent::Conn, codes::SERVER_CHANGE);
        }
    }

    /// Takes over what makes the device come again (ids 1, 7, 8, 9, 10).
    fn change(&mut self, provision: &Provision<'_>) {
        let kept = &mut self.configuration;
        let product = (provision.product_key, &mut kept.product_key);
        let secret = (provision.product_secret, &mut kept.product_secret);
        let mut void = provision.reauthenticate == Reauthenticate::Yes;
        for (new, old) in [product, secret] {
            // Lengths were checked when the packet was read.
            void |= !new.is_empty() && new != old.as_str() && old.set(new).is_ok();
        }
        if void {
            kept.device_secret.clear();
        }
        if !provision.new_device_secret.is_empty() {
            let _ = kept.device_secret.set(provision.new_device_secret);
        }
        if let Some(dns) = &provision.dns {
            let own = if kept.server.is_empty() { &self.default_server } else { &kept.server };
            let scheme = if own.starts_with("mqtts://") { "mqtts://" } else { "mqtt://" };
            let host = if dns.domain.is_empty() { dns.ip } else { dns.domain };
            let mut url = Text::<{ limits::SERVER_URL }>::new();
            let port = i64::from(dns.port.unwrap_or(1883));
            let whole = url
                .push(scheme)
                .and_then(|()| url.push(host))
                .and_then(|()| url.push(":"))
                .and_then(|()| url.push_number(port));
            if whole.is_ok() && !host.is_empty() && self.given_server.set(&url).is_ok() {
                self.given_failures = 0;
            }
        }
    }

    /// The platform-given server wins over the configured one, until it has failed three times; the default is the last.
    pub fn server(&self) -> &str {
        let kept = &self.configuration;
        [&self.given_server, &kept.platform_server, &kept.server, &self.default_server]
            .into_iter()
            .find(|url| !url.is_empty())
            .map_or("", |url| url.as_str())
    }

    /// A 0x00A3: codes 10422..=10432 end the connection (QUECTHING.md 4.2), others are only told.
    pub fn on_notice(&mut self, code: u16, now: u32, random: u32) {
        let base = match code {
            10422 | 10426 | 10430 | 10431 => RETRY_LONG,
            10423..=10425 | 10427 => RETRY_MIDDLE,
            10432 => RETRY_SHORT,
            _ => return self.emit(SessionEvent::Server, code),
        };
        if matches!(self.phase, Phase::Idle | Phase::Backoff) {
            return;
        }
        self.back_off(base, now, random);
        self.work = WorkState::AuthenticateFailed;
        self.act(Action::Disconnect);
        self.emit(SessionEvent::Auth, code);
    }
}
