//! `Ql_iotConfig*`: what the application sets and asks.

use super::{Agent, CallError, Dialect, Mode, WorkState};
use crate::journal::Configuration;
use crate::limits;
use crate::platform::{Level, Platform};
use crate::text::{Text, TooLong};
use crate::wire;
use crate::wire::credential::PRODUCT_SECRET_MIN;
use crate::wire::message::McuList;

/// Who the device is, beyond what is configured.
pub(super) struct Identity {
    /// The hardware id, as the platform told it at start.
    hardware_id: Text<{ limits::DEVICE_KEY }>,
    /// The module's version, and the application's text behind it.
    software: Text<{ 2 * limits::VERSION }>,
    /// Bytes of `software` that are the module's.
    module_length: usize,
}

impl Identity {
    pub(super) const fn new() -> Self {
        Identity { hardware_id: Text::new(), software: Text::new(), module_length: 0 }
    }

    /// Asks the platform.
    pub(super) fn load(&mut self, platform: &mut dyn Platform) {
        if self.hardware_id.set(platform.device_key()).is_err() {
            platform.log(Level::Error, "the hardware id is longer than 32 characters; set a device key");
        }
        if platform.module_version().len() > limits::VERSION {
            return platform.log(Level::Error, "the module version is longer than 64 bytes and not used");
        }
        let before = self.software;
        // Both parts were measured: they fit.
        let _ = self.software.set(platform.module_version());
        let app = before.get(self.module_length..).unwrap_or_default();
        self.module_length = self.software.len();
        let _ = self.software.push(app);
    }

    /// Flash that was copied to another device does not bring its identity along.
    pub(super) fn adopt(&self, kept: &mut Configuration) {
        if kept.hardware_id != self.hardware_id {
            if kept.device_key.is_empty() {
                kept.device_secret.clear();
            }
            kept.hardware_id = self.hardware_id;
        }
    }

    /// The application's own device key, or the hardware id where it set none.
    pub(super) fn key_in_force<'k>(&'k self, own: &'k str) -> &'k str {
        if own.is_empty() { &self.hardware_id } else { own }
    }

    /// The module's version with the application's behind it.
    pub(super) fn software(&self) -> &str {
        &self.software
    }

    fn set_app_version(&mut self, app: &str) {
        self.software.truncate(self.module_length);
        // It was measured: it fits.
        let _ = self.software.push(app);
    }
}

const MQTT: &str = "mqtt://";
const MQTTS: &str = "mqtts://";

impl From<TooLong> for CallError {
    fn from(_: TooLong) -> Self {
        CallError::Value
    }
}

/// Configuration, as `Ql_iotConfig*` (QUECTHING.md 1.2). Kept in the journal where that page says "persisted".
impl Agent<'_> {
    /// The event conventions; V2_9 unless told.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.events.dialect = dialect;
        self.session.configuration.dialect = match dialect {
            Dialect::V2_9 => 0,
            Dialect::V2_10 => 1,
        };
    }

    /// Idle only; a change clears the device secret.
    pub fn set_product(
        &mut self,
        platform: &mut dyn Platform,
        key: &str,
        secret: &str,
    ) -> Result<(), CallError> {
        self.is_idle()?;
        if !(1..=limits::PRODUCT_KEY).contains(&key.len())
            || !(1..=limits::PRODUCT_SECRET).contains(&secret.len())
        {
            return Err(CallError::Value);
        }
        if secret.len() < PRODUCT_SECRET_MIN {
            platform
                .log(Level::Warn, "the product secret has fewer than 16 characters: bootstrap will not work");
        }
        let kept = &mut self.session.configuration;
        if *kept.product_key != *key || *kept.product_secret != *secret {
            kept.product_key.set(key)?;
            kept.product_secret.set(secret)?;
            kept.device_secret.clear();
            kept.platform_server.clear();
            self.save_configuration(platform);
        }
        Ok(())
    }

    /// Leaves, and forgets what the platform has given: device secret and server. Then connects again, if the device was
    /// to be connected.
    pub fn reset(&mut self, platform: &mut dyn Platform) {
        let mode = self.mode();
        // Leaving is never refused, and the product is as complete as it was.
        let _ = self.set_mode(platform, Mode::Idle);
        self.session.configuration.device_secret.clear();
        self.session.configuration.platform_server.clear();
        self.save_configuration(platform);
        let _ = self.set_mode(platform, mode);
    }

    /// Leaves, and forgets all that was configured but the MCU versions and the dialect.
    pub fn clear(&mut self, platform: &mut dyn Platform) {
        // Leaving is never refused.
        let _ = self.set_mode(platform, Mode::Idle);
        let Configuration { hardware_id, mcu_list, dialect, .. } = self.session.configuration;
        self.session.configuration =
            Configuration { hardware_id, mcu_list, dialect, ..Configuration::default() };
        self.save_configuration(platform);
    }

    /// The platform's address where the application sets none: of the build or of the host.
    pub fn set_default_server(&mut self, url: &str) -> Result<(), CallError> {
        write_url(url, &mut self.session.default_server)
    }

    /// Idle only; `mqtt://host:port`, `mqtts://...` or `host:port`; a change clears the device secret.
    pub fn set_server(&mut self, platform: &mut dyn Platform, url: &str) -> Result<(), CallError> {
        self.is_idle()?;
        let mut whole = Text::new();
        write_url(url, &mut whole)?;
        let kept = &mut self.session.configuration;
        if kept.server != whole {
            kept.server.set(&whole)?;
            kept.device_secret.clear();
            kept.platform_server.clear();
            self.save_configuration(platform);
        }
        Ok(())
    }

    /// Idle only. Empty key: back to the hardware id. Empty secret: bootstrap will fetch one.
    pub fn set_device(
        &mut self,
        platform: &mut dyn Platform,
        key: &str,
        secret: &str,
    ) -> Result<(), CallError> {
        self.is_idle()?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain(key) || !plain(secret) || (!key.is_empty() && key == self.identity.hardware_id.as_str()) {
            return Err(CallError::Value);
        }
        if key.len() > limits::DEVICE_KEY || secret.len() > limits::DEVICE_SECRET {
            return Err(CallError::Value);
        }
        let kept = &mut self.session.configuration;
        // The same key without a secret keeps the one that bootstrap has fetched.
        if *kept.device_key != *key || !secret.is_empty() {
            kept.device_key.set(key)?;
            kept.device_secret.set(secret)?;
            self.save_configuration(platform);
        }
        Ok(())
    }

    /// MQTT user name; empty (the default) sends none.
    pub fn set_user_name(&mut self, name: &str) -> Result<(), CallError> {
        Ok(self.session.user_name.set(name)?)
    }

    /// Keep-alive in seconds, 1..=65535; idle only.
    pub fn set_lifetime(&mut self, seconds: u16) -> Result<(), CallError> {
        self.is_idle()?;
        if seconds == 0 {
            return Err(CallError::Value);
        }
        self.session.configuration.lifetime = seconds;
        Ok(())
    }

    /// Payload encryption; idle only.
    pub fn set_session_encryption(&mut self, wanted: bool) -> Result<(), CallError> {
        self.is_idle()?;
        if wanted && !cfg!(feature = "session") {
            return Err(CallError::Value);
        }
        self.session.configuration.session_encryption = wanted;
        Ok(())
    }

    /// Text appended to the module's version; `None` or empty: none. At most 64 bytes.
    pub fn set_app_version(&mut self, version: Option<&str>) -> Result<(), CallError> {
        let app = version.unwrap_or_default();
        if app.len() > limits::VERSION {
            return Err(CallError::Value);
        }
        self.identity.set_app_version(app);
        Ok(())
    }

    /// The version of an MCU component; empty deletes it. Decides whether a running upgrade succeeded.
    pub fn set_mcu_version(
        &mut self,
        platform: &mut dyn Platform,
        component: &str,
        version: &str,
    ) -> Result<(), CallError> {
        if !(1..=limits::COMPONENT).contains(&component.len())
            || version.len() > limits::VERSION
            || component.bytes().any(|byte| matches!(byte, b';' | b':'))
            || version.bytes().any(|byte| byte == b';')
        {
            return Err(CallError::Value);
        }
        let input = self.machine.version(component, version, self.mcu_version(component));
        self.keep_mcu_version(platform, component, version)?;
        if let Some(input) = input {
            self.judge_mcu(platform, input);
        }
        Ok(())
    }

    #[inline(never)] // its lists are off the stack before the upgrade ends
    fn keep_mcu_version(
        &mut self,
        platform: &mut dyn Platform,
        component: &str,
        version: &str,
    ) -> Result<(), CallError> {
        let mut list = Text::new();
        change(&self.session.configuration.mcu_list, component, version, &mut list)?;
        if list != self.session.configuration.mcu_list {
            self.session.configuration.mcu_list.set(&list)?;
            self.save_configuration(platform);
        }
        Ok(())
    }

    /// The version of one MCU component.
    pub fn mcu_version(&self, component: &str) -> Option<&str> {
        McuList::of(&self.session.configuration.mcu_list)
            .find(|(name, _)| *name == component)
            .map(|(_, version)| version)
    }

    /// All of them, `a:1;b:2`.
    pub fn mcu_list(&self) -> &str {
        &self.session.configuration.mcu_list
    }

    /// Connects or disconnects. The same mode again does nothing.
    pub fn set_mode(&mut self, platform: &mut dyn Platform, mode: Mode) -> Result<(), CallError> {
        let kept = &self.session.configuration;
        let incomplete =
            kept.product_key.is_empty() || kept.product_secret.is_empty() || self.session.server().is_empty();
        if mode == Mode::Request && incomplete {
            return Err(CallError::Incomplete);
        }
        if mode == self.session.mode() {
            return Ok(());
        }
        self.save_configuration(platform);
        let now = platform.millis();
        self.session.set_mode(mode, now);
        self.carry_out(platform);
        Ok(())
    }

    /// The mode that was set.
    pub fn mode(&self) -> Mode {
        self.session.mode()
    }

    /// Where the session stands.
    pub fn work_state(&self) -> WorkState {
        self.session.work_state()
    }

    fn is_idle(&self) -> Result<(), CallError> {
        if self.session.mode() == Mode::Idle { Ok(()) } else { Err(CallError::NotIdle) }
    }
}

/// What was configured, for `Ql_iotConfigGet*`. Empty where nothing is known.
impl Agent<'_> {
    /// Product key and secret.
    pub fn product(&self) -> (&str, &str) {
        (&self.session.configuration.product_key, &self.session.configuration.product_secret)
    }

    /// The platform's address in force: one that the platform gave wins over the application's.
    pub fn server(&self) -> &str {
        self.session.server()
    }

    /// Device key in force (the hardware id where none was set) and device secret.
    pub fn device(&self) -> (&str, &str) {
        (self.device_key(), &self.session.configuration.device_secret)
    }

    pub(super) fn device_key(&self) -> &str {
        self.identity.key_in_force(&self.session.configuration.device_key)
    }

    /// Keep-alive in seconds as it was set.
    pub fn lifetime(&self) -> u16 {
        self.session.lifetime()
    }

    /// Whether payload encryption is wanted.
    pub fn session_encryption(&self) -> bool {
        self.session.configuration.session_encryption
    }

    /// Module version with the application's behind it, as it is reported.
    pub fn software_version(&self) -> &str {
        self.identity.software()
    }
}

/// Writes it with scheme and port. A wrong one changes nothing.
fn write_url(url: &str, out: &mut Text<{ limits::SERVER_URL }>) -> Result<(), CallError> {
    let (scheme, port, rest) = if let Some(rest) = url.strip_prefix(MQTTS) {
        (MQTTS, "8883", rest)
    } else {
        (MQTT, "1883", url.strip_prefix(MQTT).unwrap_or(url))
    };
    // By bytes: `rsplit_once` searches from the end with a loop of `core` that may panic.
    let colon = rest.bytes().rposition(|byte| byte == b':').and_then(|at| rest.split_at_checked(at));
    let (host, port) =
        colon.map_or((rest, port), |(host, port)| (host, port.strip_prefix(':').unwrap_or(port)));
    if host.is_empty() || host.bytes().any(|byte| byte == b'/') || wire::port(port).is_none() {
        return Err(CallError::Value);
    }
    let parts = [scheme, host, ":", port];
    if parts.iter().map(|part| part.len()).sum::<usize>() > limits::SERVER_URL {
        return Err(CallError::Value);
    }
    out.clear();
    parts.into_iter().try_for_each(|part| out.push(part)).map_err(CallError::from)
}

/// Writes `list` to `new`, which is empty, with this version in the component's place, or behind the others; without it
/// when it is empty.
fn change(
    list: &str,
    component: &str,
    version: &str,
    new: &mut Text<{ limits::MCU_LIST }>,
) -> Result<(), CallError> {
    let mut put = |name: &str, version: &str| -> Result<(), TooLong> {
        let between = if new.is_empty() { "" } else { ";" };
        for part in [between, name, ":", version] {
            new.push(part)?;
        }
        Ok(())
    };
    let mut there = false;
    for (name, old) in McuList::of(list) {
        let version = if name == component { version } else { old };
        there |= name == component;
        if !version.is_empty() {
            put(name, version)?;
        }
    }
    if !there && !version.is_empty() {
        put(component, version)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(list: &str, component: &str, version: &str) -> Result<Text<{ limits::MCU_LIST }>, CallError> {
        let mut new = Text::new();
        change(list, component, version, &mut new).map(|()| new)
    }

    #[test]
    fn a_component_keeps_its_place_and_an_empty_version_deletes_it() {
        let list = "a:1;b:2;c:3";
        assert_eq!(&*with(list, "b", "9").unwrap(), "a:1;b:9;c:3");
        assert_eq!(&*with(list, "a", "").unwrap(), "b:2;c:3");
        assert_eq!(&*with(list, "d", "4").unwrap(), "a:1;b:2;c:3;d:4");
        assert_eq!(&*with("", "d", "").unwrap(), "");
        assert_eq!(with(list, &"x".repeat(32), &"y".repeat(64)).map(|list| list.len()), Ok(11 + 98));
    }

    const LONG: &str = "a-host-with-a-name-that-leaves-no-room-for-the-scheme-and-the.port";

    #[test]
    fn urls_get_scheme_and_port_and_others_are_refused() {
        for (given, whole) in [
            ("iot.example.com", "mqtt://iot.example.com:1883"),
            ("127.0.0.1:2000", "mqtt://127.0.0.1:2000"),
            ("mqtts://iot.example.com", "mqtts://iot.example.com:8883"),
        ] {
            let mut url = Text::new();
            write_url(given, &mut url).unwrap();
            assert_eq!(&*url, whole);
        }
        for wrong in ["", "mqtt://", "http://a.b:80", "host:0", "host:99999", "host:", "coap://a.b", LONG] {
            let mut url = Text::of("as before").unwrap();
            assert_eq!(write_url(wrong, &mut url), Err(CallError::Value), "{wrong}");
            assert_eq!(&*url, "as before");
        }
    }
}
