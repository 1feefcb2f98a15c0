//! Carries out what the session orders, and hands the link's changes to it.

use super::outbox::Full;
use super::step::LOST_EVENT;
use super::{Agent, EventValue, Link};
use crate::cloud::{Order, Orders};
use crate::ota::{State, Timer};
use crate::platform::{Connect, Level, Platform};
use crate::wire::credential::{self, Nonce, Session as Wanted};
use crate::wire::message::Capabilities;
use crate::wire::topic;

impl Agent<'_> {
    /// The connection changed.
    pub fn on_link(&mut self, platform: &mut dyn Platform, link: Link) {
        let now = platform.millis();
        let random = self.random(platform);
        let was_online = self.session.is_online();
        let orders = self.session.on_link(link, now, random);
        if was_online && !self.session.is_online() {
            self.link_lost(platform);
        }
        self.carry_out(platform, orders);
    }

    pub(super) fn carry_out(&mut self, platform: &mut dyn Platform, orders: Orders) {
        for order in orders.iter() {
            match order {
                Order::Connect => self.connect(platform),
                Order::Disconnect => {
                    platform.disconnect();
                    self.link_lost(platform);
                }
                Order::Subscribe => self.subscribe(platform),
                Order::Tell(notice, code) => {
                    self.tell(platform, notice as u8, code as u16, &EventValue::None)
                }
                Order::Save => self.save_configuration(platform),
                Order::Online => self.online(platform),
            }
        }
    }

    /// What was under way is to be sent again.
    fn link_lost(&mut self, platform: &mut dyn Platform) {
        self.reports.settle(false);
        self.uplink.lost();
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
        self.next_plan = None;
        self.handled = [None; 4];
        self.uplink.capabilities = Capabilities::NONE;
        self.session.device_key = *self.device_key();
        if self.try_connect(platform).is_none() {
            platform.log(Level::Warn, "the transport could not start to connect");
            self.refused(platform);
        }
    }

    fn try_connect(&mut self, platform: &mut dyn Platform) -> Option<()> {
        let session = &self.session;
        let kept = &session.configuration;
        let mut random = [0; Nonce::LEN];
        platform.random(&mut random);
        let nonce = Nonce::of(random);
        let wanted = if kept.session_encryption { Wanted::Encrypted } else { Wanted::Plain };
        let password = if session.is_bootstrapping() {
            credential::bootstrap(&kept.product_key, &kept.product_secret, &session.device_key, nonce, wanted)
        } else {
            credential::login(&kept.product_secret, &kept.device_secret, nonce, wanted)
        };
        let client_id = topic::client_id(&kept.product_key, &session.device_key);
        let (Ok(password), Ok(client_id)) = (password, client_id) else {
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
        let random = self.random(platform);
        let orders = self.session.refused(now, random);
        // At most one level deeper: being refused orders neither to connect nor to subscribe.
        for order in orders.iter() {
            match order {
                Order::Disconnect => platform.disconnect(),
                Order::Tell(notice, code) => {
                    self.tell(platform, notice as u8, code as u16, &EventValue::None)
                }
                _ => {}
            }
        }
    }

    /// An event for the application. Inputs wait while the outbox is nearly full, so that one is lost takes an
    /// application that calls and calls and never takes an event.
    pub(super) fn tell(&mut self, platform: &mut dyn Platform, event: u8, code: u16, value: &EventValue) {
        if let Err(Full) = self.outbox.push(event, code, value) {
            platform.log(Level::Error, LOST_EVENT);
        }
    }
}

/// Lower values become this on the wire (QUECTHING.md 1.2).
const KEEP_ALIVE_MIN: u16 = 21;
