//! A platform written in C: its table, copied and checked, as the traits that the core asks for.

use core::ffi::{c_char, c_void};
use core::mem::offset_of;
use core::ptr;

use quecota_core::journal::Journal;
use quecota_core::limits;
use quecota_core::platform::{
    Applied, Area, Connect, FetchUrl, Geometry, GeometryError, Level, Qos, Range, Refused, SendId,
    StagedFile, Storage, StorageError, System, Takes, Transport,
};

use super::error::{Error, InitError, QUECOTA_ERROR_AREA, QUECOTA_ERROR_PLATFORM, Words};
use super::growing::Growing;
use super::handle::quecota_t;
use super::table::{
    QUECOTA_LENGTH_UNKNOWN, QUECOTA_UNKNOWN, quecota_area_t, quecota_connect_t, quecota_platform_t,
    quecota_staged_file_t, quecota_storage_result_t, quecota_storage_t, quecota_system_t,
    quecota_transport_t,
};
use crate::boundary::{CStrBuf, raw_string};

// SAFETY: repr(C), size first; NULL pointers, absent functions and zeros are valid values.
unsafe impl Growing for quecota_transport_t {
    const NAME: Words = Words::of("platform.transport");
    const FIRST: usize = offset_of!(quecota_transport_t, fetch_cancel) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for quecota_storage_t {
    const NAME: Words = Words::of("platform.storage");
    const FIRST: usize = offset_of!(quecota_storage_t, sync) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for quecota_system_t {
    const NAME: Words = Words::of("platform.system");
    const FIRST: usize = offset_of!(quecota_system_t, stop) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for quecota_platform_t {
    const NAME: Words = Words::of("platform");
    const FIRST: usize = offset_of!(quecota_platform_t, system) + size_of::<usize>();
}
/// A device's own copy of the table, complete and checked. The traits are those of a reference to it, which is used only
/// while the device's lock is held.
#[derive(Debug, Clone, Copy)]
pub struct CPlatform {
    /// MQTT and HTTP.
    pub transport: quecota_transport_t,
    /// Image and journal.
    pub storage: quecota_storage_t,
    /// The device around the library.
    pub system: quecota_system_t,
}

impl CPlatform {
    /// Copies and checks.
    ///
    /// # Safety
    /// Pointers that are not NULL point to structs of the size that their first member gives.
    pub unsafe fn copied(platform: *const quecota_platform_t) -> Result<Self, InitError> {
        let mut given = quecota_platform_t::absent();
        let mut table = CPlatform {
            transport: quecota_transport_t::absent(),
            storage: quecota_storage_t::absent(),
            system: quecota_system_t::absent(),
        };
        // SAFETY: the caller's promise, for each.
        unsafe {
            given.copy_from(platform)?;
            table.transport.copy_from(given.transport)?;
            table.storage.copy_from(given.storage)?;
            table.system.copy_from(given.system)?;
        }
        let (transport, storage, system) = (&table.transport, &table.storage, &table.system);
        const MEMBERS: [Words; 12] = [
            Words::of("transport.connect"),
            Words::of("transport.disconnect"),
            Words::of("transport.subscribe"),
            Words::of("transport.publish"),
            Words::of("transport.fetch"),
            Words::of("transport.fetch_cancel"),
            Words::of("storage.read"),
            Words::of("storage.write"),
            Words::of("storage.erase"),
            Words::of("system.millis"),
            Words::of("system.random"),
            Words::of("system.device_key"),
        ];
        // As numbers, which are at hand: a truth value is first to be made of each.
        let addresses = [
            transport.connect.map_or(0, |it| it as usize),
            transport.disconnect.map_or(0, |it| it as usize),
            transport.subscribe.map_or(0, |it| it as usize),
            transport.publish.map_or(0, |it| it as usize),
            transport.fetch.map_or(0, |it| it as usize),
            transport.fetch_cancel.map_or(0, |it| it as usize),
            storage.read.map_or(0, |it| it as usize),
            storage.write.map_or(0, |it| it as usize),
            storage.erase.map_or(0, |it| it as usize),
            system.millis.map_or(0, |it| it as usize),
            system.random.map_or(0, |it| it as usize),
            system.device_key.map_or(0, |it| it as usize),
        ];
        let missing =
            |what| Err(InitError { code: QUECOTA_ERROR_PLATFORM, what, rule: Words::of("must not be NULL") });
        if let Some((what, _)) = MEMBERS.iter().zip(addresses).find(|(_, address)| *address == 0) {
            return missing(*what);
        }
        match (system.lock, system.unlock) {
            (None, Some(_)) => return missing(Words::of("system.lock")),
            (Some(_), None) => return missing(Words::of("system.unlock")),
            _ => {}
        }
        let area = |what| move |rule| InitError { code: QUECOTA_ERROR_AREA, what: Words::of(what), rule };
        storage.image.check().map_err(area("storage.image"))?;
        storage.journal.check_journal().map_err(area("storage.journal"))?;
        Ok(table)
    }
}

/// Writes a line to the log of a table that may be refused for other reasons. `false`: it has no usable log function.
///
/// # Safety
/// As [`CPlatform::copied`].
pub unsafe fn log_by_table(platform: *const quecota_platform_t, line: &str) -> bool {
    if !cfg!(feature = "texts") {
        return false;
    }
    let (mut given, mut system) = (quecota_platform_t::absent(), quecota_system_t::absent());
    // SAFETY: the caller's promise, for both.
    let copied = unsafe { given.copy_from(platform).and_then(|()| system.copy_from(given.system)) };
    let (Ok(()), Some(log), ctx) = (copied, system.log, system.ctx) else { return false };
    let mut line_room = CStrBuf::<LOG_LINE>::EMPTY;
    let line = line_room.hold(line);
    // SAFETY: the table's function with its ctx; the line lives through the call.
    unsafe { log(ctx, Level::Warn as i32, line.as_ptr(), u32::try_from(line.length()).unwrap_or(0)) };
    true
}

impl quecota_area_t {
    /// The same in the core's words.
    pub fn geometry(&self) -> Geometry {
        let quecota_area_t { size, erase, program, erased } = *self;
        Geometry { size, erase, program, erased }
    }

    /// The rule that it breaks.
    fn check(&self) -> Result<(), Words> {
        self.geometry().check().map_err(|error| {
            Words::of(match error {
                GeometryError::Program(_) => "must have a program size that is a power of two, 1 to 256",
                GeometryError::Erase(_) => {
                    "must have an erase size that is a power of two, at least 16 and the program size"
                }
                GeometryError::Size(_) => "must have a size that is a multiple of the erase size and not 0",
                GeometryError::Erased(_) => "must be erased to 0xff or 0x00",
            })
        })
    }

    fn check_journal(&self) -> Result<(), Words> {
        self.check()?;
        if self.size < Journal::minimum_size(&self.geometry()) {
            return Err(Words::of("must have at least two erase blocks and 8 KB (docs/journal.md)"));
        }
        Ok(())
    }
}

const NO_FILE: quecota_staged_file_t = quecota_staged_file_t { index: 0, offset: 0, length: 0, md5: [0; 16] };

/// Longest log line, with its NUL.
const LOG_LINE: usize = 192;

fn started(result: Option<i32>) -> Result<(), Refused> {
    if result == Some(0) { Ok(()) } else { Err(Refused) }
}

fn stored(result: Option<quecota_storage_result_t>) -> Result<(), StorageError> {
    match result {
        Some(0) => Ok(()),
        Some(1) => Err(StorageError::Range),
        Some(2) => Err(StorageError::Full),
        _ => Err(StorageError::Failed),
    }
}

fn length(slice: &[u8]) -> u32 {
    u32::try_from(slice.len()).unwrap_or(u32::MAX)
}

// Every block below calls a function of the table with the `ctx` that the firmware gave for it, with pointers that
// live through the call: the contract of the table.

impl CPlatform {
    /// Takes the lock of the device, where there is one.
    pub fn lock(&self) {
        if let Some(lock) = self.system.lock {
            // SAFETY: see above.
            unsafe { lock(self.system.ctx) }
        }
    }

    /// Gives the lock back.
    pub fn unlock(&self) {
        if let Some(unlock) = self.system.unlock {
            // SAFETY: see above.
            unsafe { unlock(self.system.ctx) }
        }
    }

    /// Lets quecota_poll() run soon. Called without the lock.
    pub fn wake(&self) {
        if let Some(wake) = self.system.wake {
            // SAFETY: see above.
            unsafe { wake(self.system.ctx) }
        }
    }

    /// Lets the platform's own task poll `device` from now on, where there is such a task. Called without the lock.
    pub fn run(&self, device: *mut quecota_t) -> Result<(), Error> {
        // SAFETY: see above; the device lives until it has called `stop`.
        match self.system.run.map(|run| unsafe { run(self.system.ctx, device) }) {
            None | Some(0) => Ok(()),
            Some(_) => Err(QUECOTA_ERROR_PLATFORM),
        }
    }

    /// Ends what `run` began. Called without the lock.
    pub fn stop(&self) {
        if let Some(stop) = self.system.stop {
            // SAFETY: see above.
            unsafe { stop(self.system.ctx) }
        }
    }
}

impl Transport for &CPlatform {
    fn connect(&mut self, to: &Connect<'_>) -> Result<(), Refused> {
        let table = &self.transport;
        let mut url_room = CStrBuf::<{ limits::SERVER_URL + 16 }>::EMPTY;
        let url = url_room.hold(to.url);
        let mut client_id_room = CStrBuf::<{ limits::CLIENT_ID + 1 }>::EMPTY;
        let client_id = client_id_room.hold(to.client_id);
        let mut user_name_room = CStrBuf::<{ limits::USER_NAME + 1 }>::EMPTY;
        let user_name = user_name_room.hold(to.user_name);
        let mut password_room = CStrBuf::<{ limits::PASSWORD + 1 }>::EMPTY;
        let password = password_room.hold(to.password);
        let to = quecota_connect_t {
            url: url.as_ptr(),
            client_id: client_id.as_ptr(),
            user_name: if to.user_name.is_empty() { ptr::null() } else { user_name.as_ptr() },
            password: password.as_ptr(),
            keep_alive: to.keep_alive,
        };
        // SAFETY: see above.
        started(table.connect.map(|connect| unsafe { connect(table.ctx, &raw const to) }))
    }

    fn disconnect(&mut self) {
        let table = &self.transport;
        if let Some(disconnect) = table.disconnect {
            // SAFETY: see above.
            unsafe { disconnect(table.ctx) }
        }
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        let table = &self.transport;
        let mut filter_room = CStrBuf::<{ limits::TOPIC + 1 }>::EMPTY;
        let filter = filter_room.hold(filter);
        // SAFETY: see above.
        started(table.subscribe.map(|subscribe| unsafe { subscribe(table.ctx, filter.as_ptr()) }))
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused> {
        let table = &self.transport;
        let mut topic_room = CStrBuf::<{ limits::TOPIC + 1 }>::EMPTY;
        let topic = topic_room.hold(topic);
        started(table.publish.map(|publish| {
            // SAFETY: see above.
            unsafe { publish(table.ctx, topic.as_ptr(), payload.as_ptr(), length(payload), qos as u8, id.0) }
        }))
    }

    fn fetch(&mut self, url: FetchUrl<'_>, range: Range) -> Result<(), Refused> {
        let table = &self.transport;
        let url = url.with_nul().as_ptr().cast();
        // SAFETY: see above.
        started(table.fetch.map(|fetch| unsafe { fetch(table.ctx, url, range.start, range.length) }))
    }

    fn fetch_cancel(&mut self) {
        let table = &self.transport;
        if let Some(cancel) = table.fetch_cancel {
            // SAFETY: see above.
            unsafe { cancel(table.ctx) }
        }
    }
}

impl Storage for &CPlatform {
    fn geometry(&self, area: Area) -> Geometry {
        match area {
            Area::Image => self.storage.image.geometry(),
            Area::Journal => self.storage.journal.geometry(),
        }
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        let table = &self.storage;
        let room = length(buffer);
        // SAFETY: see above.
        stored(
            table.read.map(|read| unsafe { read(table.ctx, area as i32, offset, buffer.as_mut_ptr(), room) }),
        )
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        let table = &self.storage;
        stored(table.write.map(|write| {
            // SAFETY: see above.
            unsafe { write(table.ctx, area as i32, offset, data.as_ptr(), length(data)) }
        }))
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        let table = &self.storage;
        // SAFETY: see above.
        stored(table.erase.map(|erase| unsafe { erase(table.ctx, area as i32, offset, length) }))
    }

    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        let table = &self.storage;
        match table.sync {
            None => Ok(()),
            // SAFETY: see above.
            Some(sync) => stored(Some(unsafe { sync(table.ctx, area as i32) })),
        }
    }
}

impl CPlatform {
    fn number(&self, ask: Option<unsafe extern "C" fn(*mut c_void) -> i32>) -> Option<i32> {
        // SAFETY: see above.
        ask.map(|ask| unsafe { ask(self.system.ctx) }).filter(|value| *value != QUECOTA_UNKNOWN)
    }

    /// What the platform answers, or nothing when that is NULL, endless or no UTF-8.
    fn text(&self, ask: Option<unsafe extern "C" fn(*mut c_void) -> *const c_char>) -> &str {
        // SAFETY: see above.
        let answer = ask.map_or(ptr::null(), |ask| unsafe { ask(self.system.ctx) });
        if answer.is_null() {
            return "";
        }
        // SAFETY: a string of the platform, valid until its next call; the agent copies it at once.
        unsafe { raw_string(answer) }.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl System for &CPlatform {
    fn millis(&mut self) -> u32 {
        let table = &self.system;
        // SAFETY: see above.
        table.millis.map_or(0, |millis| unsafe { millis(table.ctx) })
    }

    fn random(&mut self, out: &mut [u8]) {
        let table = &self.system;
        if let Some(random) = table.random {
            // SAFETY: see above.
            unsafe { random(table.ctx, out.as_mut_ptr(), length(out)) }
        }
    }

    fn log(&mut self, level: Level, line: &str) {
        let table = &self.system;
        if let Some(log) = table.log.filter(|_| cfg!(feature = "log")) {
            let mut line_room = CStrBuf::<LOG_LINE>::EMPTY;
            let line = line_room.hold(line);
            let length = u32::try_from(line.length()).unwrap_or(0);
            // SAFETY: see above.
            unsafe { log(table.ctx, level as i32, line.as_ptr(), length) }
        }
    }

    fn battery(&mut self) -> Option<u8> {
        self.number(self.system.battery).and_then(|value| u8::try_from(value).ok())
    }

    fn voltage(&mut self) -> Option<u16> {
        self.number(self.system.voltage).and_then(|value| u16::try_from(value).ok())
    }

    fn signal(&mut self) -> Option<i16> {
        self.number(self.system.signal).and_then(|value| i16::try_from(value).ok())
    }

    fn rsrp(&mut self) -> Option<i16> {
        self.number(self.system.rsrp).and_then(|value| i16::try_from(value).ok())
    }

    // What asks for positions is the drop-in API alone; an image without it is spared the way there.
    #[cfg(feature = "ql-api")]
    fn position_kinds(&mut self) -> &str {
        self.text(self.system.position_kinds)
    }

    #[cfg(feature = "ql-api")]
    fn position(&mut self, kind: &str, out: &mut [u8]) -> usize {
        let table = &self.system;
        let mut kind_room = CStrBuf::<{ limits::POSITION_KIND + 1 }>::EMPTY;
        let kind = kind_room.hold(kind);
        let room = length(out);
        let written = table.position.map_or(0, |position| {
            // SAFETY: see above.
            unsafe { position(table.ctx, kind.as_ptr(), out.as_mut_ptr().cast(), room) }
        });
        written.min(room) as usize
    }

    fn free_space(&mut self) -> Option<u32> {
        let table = &self.system;
        // SAFETY: see above.
        table.free_space.map(|ask| unsafe { ask(table.ctx) }).filter(|value| *value != QUECOTA_LENGTH_UNKNOWN)
    }

    fn device_key(&mut self) -> &str {
        self.text(self.system.device_key)
    }

    fn module_model(&mut self) -> &str {
        self.text(self.system.module_model)
    }

    fn module_version(&mut self) -> &str {
        self.text(self.system.module_version)
    }

    fn apply(&mut self, size: u32) -> Applied {
        let table = &self.system;
        // SAFETY: see above.
        let within = table.apply.map_or(-1, |apply| unsafe { apply(table.ctx, size) });
        u32::try_from(within).map_or(Applied::Refused, Applied::Within)
    }

    fn takes(&mut self) -> Takes {
        if self.system.apply_files.is_some() { Takes::Packages } else { Takes::OneFile }
    }

    fn apply_files(&mut self, files: &[StagedFile]) -> Applied {
        let table = &self.system;
        let mut room = [NO_FILE; limits::PACKAGE_FILES];
        let mut count = 0;
        for (place, file) in room.iter_mut().zip(files) {
            let StagedFile { index, offset, size, md5 } = *file;
            *place = quecota_staged_file_t { index, offset, length: size, md5 };
            count += 1;
        }
        // SAFETY: see above.
        let within = table.apply_files.map_or(-1, |apply| unsafe { apply(table.ctx, room.as_ptr(), count) });
        u32::try_from(within).map_or(Applied::Refused, Applied::Within)
    }
}
