//! The parts joined to one platform.

use std::sync::Arc;
use std::time::Instant;

use quecota_core::platform::{
    Applied, Area, Connect, FetchUrl, Geometry, Level, Qos, Range, Refused, SendId, StagedFile, Storage,
    StorageError, System, Takes, Transport,
};

use super::device::{DeviceKeyError, device_key, keep_module, keep_package};
use super::fetch::{self, Fetch, Fetcher};
use super::log::Log;
use super::mqtt::{self, Connection, Dialer};
use super::settings::Settings;
use super::signal::keep_standard_descriptors;
use super::sink::{EventSink, GenerationCounter};
use super::storage::{Files, Folder, FolderError};
use super::trust::Trust;

/// How long the operator has to start again with the new module firmware's version, in milliseconds. A module would
/// say how long its reboot takes; a person needs longer.
const MODULE_RESTART: u32 = 10 * 60 * 1000;

/// The platform cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The folder or its files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The device key.
    #[error(transparent)]
    DeviceKey(#[from] DeviceKeyError),
}

/// A Linux host as the agent's platform.
pub(super) struct Host {
    settings: Settings,
    device_key: String,
    log: Log,
    started: Instant,
    files: Files,
    dialer: Dialer,
    connections: GenerationCounter,
    connection: Option<Connection>,
    fetcher: Fetcher,
    fetches: GenerationCounter,
    fetch: Option<Fetch>,
    folder: Folder,
}

impl Host {
    /// Takes the folder and opens its files. What the network brings goes to `sink`.
    pub fn start(settings: Settings, sink: Arc<dyn EventSink>) -> Result<Self, StartError> {
        keep_standard_descriptors();
        let log = Log::new(settings.log);
        let folder = Folder::open(&settings.folder)?;
        let files = Files::open(&folder, settings.staging, log)?;
        let device_key = match &settings.device_key {
            Some(key) => key.clone(),
            None => device_key(&folder)?,
        };
        let trust = Arc::new(Trust::new(settings.ca_file.clone()));
        let dialer = Dialer {
            sink: Arc::clone(&sink),
            trust: Arc::clone(&trust),
            log,
            timeouts: mqtt::Timeouts::default(),
        };
        let fetcher = Fetcher { sink, trust, log, timeouts: fetch::Timeouts::default() };
        Ok(Host {
            settings,
            device_key,
            log,
            started: Instant::now(),
            files,
            dialer,
            connections: GenerationCounter::default(),
            connection: None,
            fetcher,
            fetches: GenerationCounter::default(),
            fetch: None,
            folder,
        })
    }
}

impl Transport for Host {
    fn connect(&mut self, to: &Connect<'_>) -> Result<(), Refused> {
        // The old one's events are dropped from here on.
        keep_standard_descriptors();
        let generation = self.connections.next();
        self.connection = None;
        let user_name = if to.user_name.is_empty() { self.settings.user_name.as_str() } else { to.user_name };
        self.connection = Some(self.dialer.connect(&Connect { user_name, ..*to }, generation)?);
        Ok(())
    }

    fn disconnect(&mut self) {
        self.connections.close();
        self.connection = None;
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        self.connection.as_ref().ok_or(Refused)?.subscribe(filter)
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused> {
        self.connection.as_ref().ok_or(Refused)?.publish(topic, payload, qos, id)
    }

    fn fetch(&mut self, url: FetchUrl<'_>, range: Range) -> Result<(), Refused> {
        keep_standard_descriptors();
        let generation = self.fetches.next();
        self.fetch = None;
        self.fetch = Some(self.fetcher.start(url.as_str(), range, generation)?);
        Ok(())
    }

    fn fetch_cancel(&mut self) {
        self.fetches.close();
        self.fetch = None;
    }
}

impl Storage for Host {
    fn geometry(&self, area: Area) -> Geometry {
        self.files.geometry(area)
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.files.area(area).read(offset, buffer)
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        self.files.area(area).write(offset, data)
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        self.files.area(area).erase(offset, length)
    }

    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        self.files.area(area).sync()
    }

    fn discard(&mut self, area: Area) {
        // A failure is logged, and costs no more than the room.
        let _ = self.files.area(area).discard();
    }
}

impl System for Host {
    fn millis(&mut self) -> u32 {
        // Wraps at 2^32 by contract.
        self.started.elapsed().as_millis() as u32
    }

    fn random(&mut self, out: &mut [u8]) {
        if let Err(e) = getrandom::getrandom(out) {
            // Nonces that repeat weaken a login but do not break it; a kernel without random bytes is all but unheard of.
            self.log.line(Level::Error, &format!("no random bytes: {e}"));
        }
    }

    fn log(&mut self, level: Level, line: &str) {
        self.log.line(level, line);
    }

    fn battery(&mut self) -> Option<u8> {
        self.settings.battery
    }

    fn signal(&mut self) -> Option<i16> {
        self.settings.signal
    }

    fn free_space(&mut self) -> Option<u32> {
        Some(self.files.free_space())
    }

    fn module_space(&mut self) -> Option<u32> {
        Some(self.files.module_space())
    }

    fn device_key(&mut self) -> &str {
        &self.device_key
    }

    fn module_model(&mut self) -> &str {
        "quecota-host"
    }

    fn module_version(&mut self) -> &str {
        &self.settings.module_version
    }

    fn apply(&mut self, size: u32) -> Applied {
        match keep_module(&self.folder, &mut self.files, size, self.log) {
            Ok(()) => {
                let path = self.folder.file("module.bin");
                self.log.line(
                    Level::Warn,
                    &format!(
                        "module firmware of {size} bytes is in {}; start again with its QUECOTA_MODULE_VERSION",
                        path.display()
                    ),
                );
                Applied::Within(MODULE_RESTART)
            }
            Err(e) => {
                self.log.line(Level::Error, &format!("module firmware is not taken over: {e}"));
                Applied::Refused
            }
        }
    }

    fn takes(&mut self) -> Takes {
        Takes::Packages
    }

    fn apply_files(&mut self, files: &[StagedFile]) -> Applied {
        match keep_package(&self.folder, &mut self.files, files, self.log) {
            Ok(()) => {
                let line = format!(
                    "a module package of {} files is in {}; start again with its QUECOTA_MODULE_VERSION",
                    files.len(),
                    self.folder.file("module-*.bin").display()
                );
                self.log.line(Level::Warn, &line);
                Applied::Within(MODULE_RESTART)
            }
            Err(e) => {
                self.log.line(Level::Error, &format!("a module package is not taken over: {e}"));
                Applied::Refused
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sink::recording::{Received, Recorder};
    use quecota_core::agent::{FetchEnd, Link};
    use std::ffi::OsString;
    use std::net::TcpListener;
    use std::path::Path;
    use std::time::Duration;
    use test_platform::http::{BodyBehavior, Server, ServerBehavior};

    fn host(folder: &Path, more: &[(&str, &str)]) -> (Host, Arc<Recorder>) {
        let settings = Settings::read(|name| match name {
            "QUECOTA_DIR" => Some(folder.into()),
            "QUECOTA_STAGING" => Some("65536".into()),
            _ => more.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)),
        });
        let sink = Arc::new(Recorder::default());
        (Host::start(settings.unwrap(), sink.clone()).unwrap(), sink)
    }

    #[test]
    fn a_new_fetch_takes_the_place_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut host, sink) = host(dir.path(), &[]);
        let server = Server::start().unwrap();
        server.put("/a", vec![1; 5000]);
        let url = server.url("/a") + "\0";
        server.behave(ServerBehavior { body: BodyBehavior::StallAfter(100), ..ServerBehavior::default() });
        host.fetch(FetchUrl::of(&url).unwrap(), Range { start: 0, length: 5000 }).unwrap();
        assert!(matches!(sink.next(), Received::FetchHead(_)));
        assert!(matches!(sink.next(), Received::FetchData(_)));
        server.behave(ServerBehavior::default());
        host.fetch(FetchUrl::of(&url).unwrap(), Range { start: 100, length: 4900 }).unwrap();
        let (head, body, end) = sink.fetched();
        assert_eq!((head.unwrap().first, body.len(), end), (100, 4900, FetchEnd::Complete));
    }

    #[test]
    fn the_user_name_of_the_environment_stands_in_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let (mut host, sink) = host(dir.path(), &[("QUECOTA_USER_NAME", "field")]);
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("mqtt://{}", broker.local_addr().unwrap());
        let to = Connect { url: &url, client_id: "c", user_name: "", password: "p", keep_alive: 21 };
        host.connect(&to).unwrap();
        let (mut stream, _) = broker.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut connect = [0; 25];
        std::io::Read::read_exact(&mut stream, &mut connect).unwrap();
        assert!(connect.ends_with(b"\0\x05field\0\x01p"), "{connect:?}");
        drop(stream);
        assert_eq!(sink.next(), Received::Link(Link::Lost));
    }

    #[test]
    fn without_a_connection_sends_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut host, _ear) = host(dir.path(), &[]);
        assert_eq!(host.subscribe("q/1/d/x/+"), Err(Refused));
        assert_eq!(host.publish("t", b"x", Qos::AtMostOnce, SendId(1)), Err(Refused));
    }

    #[test]
    fn two_hosts_in_one_folder_are_refused_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let (first, sink) = host(dir.path(), &[]);
        let settings = Settings::read(|name| (name == "QUECOTA_DIR").then(|| dir.path().into())).unwrap();
        let message = Host::start(settings, sink).err().unwrap().to_string();
        assert!(message.ends_with("give each its own QUECOTA_DIR"), "{message}");
        drop(first);
    }
}
