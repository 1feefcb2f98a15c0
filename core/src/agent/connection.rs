//! Carries out the actions of the session, and hands the link's changes to it.

use super::outbox::Value;
use super::transition::random;
use super::{Agent, Link};
use crate::cloud::Action;
use crate::ota::{State, Timer};
use crate::platform::{Connect, Level, Platform};
use crate::text::Text;
use crate::wire::credential::{self, Nonce, Session as Wanted};
use crate::wire::message::Capabilities;
use crate::wire::topic;

impl Agent<'_> {
    /// The connection changed.
    pub fn on_link(&mut self, platform: &mut dyn Platform, link: Link) {
        let now = platform.millis();
        let random = random(platform);
        let was_online = self.session.is_online();
        self.session.on_link(link, now, random);
        if was_online && !self.session.is_online() {
            self.link_lost(platform);
        }
        self.carry_out(platform);
    }

    /// Does what the session wants, and what it wants then.
    pub(super) fn carry_out(&mut self, platform: &mut dyn Platform) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Connect => self.connect(platform),
                Action::Disconnect => {
                    platform.disconnect();
                    self.link_lost(platform);
                }
                Action::Subscribe => self.subscribe(platform),
                Action::Emit(event, code) => self.events.emit(platform, event as u8, code, Value::None),
                Action::Save => self.save_configuration(platform),
                Action::Online => self.online(platform),
            }
        }
    }

    /// What was under way is to be sent again.
    fn link_lost(&mut self, platform: &mut dyn Platform) {
        self.reports.on_ack(false);
        if let Some(message) = self.uplink.lost() {
            self.emit_sent(platform, message, false);
        }
        self.keep_waiting_reports(platform);
    }

    fn online(&mut self, platform: &mut dyn Platform) {
        let now = platform.millis();
        platform.log(Level::Info, "online");
        self.uplink.report_all();
        self.machine.restart(Timer::Url, now);
        if self.machine.state() == State::DownloadError {
            self.uplink.plan_request = true;
        }
        self.judge_module(platform);
    }

    fn connect(&mut self, platform: &mut dyn Platform) {
        self.inbox.clear();
        self.uplink.capabilities = Capabilities::NONE;
        let own = &self.session.configuration.device_key;
        // Both are no longer than the place.
        let _ = self.session.device_key.set(self.identity.key_in_force(own));
        if self.try_connect(platform).is_none() {
            platform.log(Level::Warn, "the transport could not start to connect");
            self.refused(platform);
        }
    }

    #[inline(never)] // the password is off the stack when the next action is carried out
    fn try_connect(&mut self, platform: &mut dyn Platform) -> Option<()> {
        let session = &self.session;
        let kept = &session.configuration;
        let mut random = [0; Nonce::LEN];
        platform.random(&mut random);
        let nonce = Nonce::of(random);
        // Firmware before this one may have had it, and have kept that it was wanted.
        let encrypts = cfg!(feature = "session") && kept.session_encryption;
        let wanted = if encrypts { Wanted::Encrypted } else { Wanted::Plain };
        let (key, secret) = (&kept.product_key, &kept.product_secret);
        let mut password = Text::new();
        let made = if session.is_bootstrapping() {
            credential::write_bootstrap(key, secret, &session.device_key, nonce, wanted, &mut password)
        } else {
            credential::write_login(secret, &kept.device_secret, nonce, wanted, &mut password)
        };
        let client_id = topic::client_id(key, &session.device_key);
        let (Ok(()), Ok(client_id)) = (made, client_id) else {
            platform.log(Level::Error, "no credentials can be made: is the product secret shorter than 16?");
            return None;
        };
        let to = Connect {
            url: session.server(),
            client_id: &client_id,
            user_name: &session.user_name,
            password: &password,
            keep_alive: session.lifetime().max(KEEP_ALIVE_MIN),
        };
        platform.connect(&to).ok()
    }

    #[inline(never)] // as above: the topics
    fn subscribe(&mut self, platform: &mut dyn Platform) {
        let client_id = topic::client_id(&self.session.configuration.product_key, &self.session.device_key);
        let filter = client_id.and_then(|client_id| topic::down_filter(&client_id));
        if !filter.is_ok_and(|filter| platform.subscribe(&filter).is_ok()) {
            platform.log(Level::Warn, "the transport could not subscribe");
            self.refused(platform);
        }
    }

    fn refused(&mut self, platform: &mut dyn Platform) {
        let now = platform.millis();
        let random = random(platform);
        self.session.refused(now, random);
    }
}

/// Lower values become this on the wire (QUECTHING.md 1.2).
const KEEP_ALIVE_MIN: u16 = 21;
