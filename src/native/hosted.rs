//! A platform written in Rust as a C platform table, with a lock and the thread that polls: what `src/host` needs to
//! be the default platform.
//!
//! The seam: `src/host` implements [`Hosted`] and its `quecota_host_platform()` returns [`table`] of it.

use core::ffi::{c_char, c_void};
use core::ptr;
use std::cell::UnsafeCell;
use std::ffi::CString;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use quecota_core::agent::Agent;
use quecota_core::platform::{
    Applied, Area, Connect, Level, Platform, Qos, Range, Refused, SendId, StagedFile, StorageError,
};

use super::table::{
    QUECOTA_LENGTH_UNKNOWN, QUECOTA_UNKNOWN, quecota_area_t, quecota_connect_t, quecota_platform_t,
    quecota_staged_file_t, quecota_storage_t, quecota_system_t, quecota_transport_t,
};
use super::{quecota_poll, quecota_t};

/// A platform in Rust. All its methods are called with the device's lock held.
pub trait Hosted: Platform + Send + 'static {
    /// The device to answer to; called once, before its first poll, with no lock held.
    fn attach(&mut self, device: Device);
}

/// A device as the threads of its platform see it. Each call takes the lock and wakes the poll; so none may be made
/// from inside a method of [`Hosted`], and a method must never wait for a thread that is in such a call.
///
/// The device lives until `stop` has ended the thread that polls; the platform ends its own threads by what it is asked
/// (disconnect, fetch cancel).
#[derive(Debug, Clone, Copy)]
pub struct Device(ptr::NonNull<quecota_t>);

// SAFETY: the table below has a lock, which quecota_t takes around every use of its state.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    fn device(&self) -> &quecota_t {
        // SAFETY: the device outlives its platform's threads: quecota_deinit() calls `stop` before it ends.
        unsafe { self.0.as_ref() }
    }

    /// Hands an answer to the agent, with the lock held, and wakes the poll. `None`: the device is not started yet or
    /// ended already, and there is nobody to tell.
    pub fn tell<R>(&self, answer: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> R) -> Option<R> {
        self.device().tell(|agent, port| answer(agent, port)).ok()
    }

    /// One step; see quecota_poll().
    fn poll(&self) -> Duration {
        // SAFETY: a handle that `run` was given.
        Duration::from_millis(unsafe { quecota_poll(self.0.as_ptr()) }.into())
    }
}

/// `platform` as the table that `quecota_init()` takes. It lives as long as the process.
pub fn table<P: Hosted>(platform: P) -> &'static quecota_platform_t {
    let image = area(&platform, Area::Image);
    let journal = area(&platform, Area::Journal);
    let bridge = Box::leak(Box::new(Bridge {
        lock: Flag::default(),
        wake: Flag::default(),
        kernel: Mutex::new(Kernel::default()),
        guarded: UnsafeCell::new(Guarded { platform, texts: Default::default() }),
    }));
    let ctx: *mut c_void = ptr::from_mut(bridge).cast();
    let transport = Box::leak(Box::new(quecota_transport_t {
        size: size_of::<quecota_transport_t>() as u32,
        ctx,
        connect: Some(connect::<P>),
        disconnect: Some(disconnect::<P>),
        subscribe: Some(subscribe::<P>),
        publish: Some(publish::<P>),
        fetch: Some(fetch::<P>),
        fetch_cancel: Some(fetch_cancel::<P>),
    }));
    let storage = Box::leak(Box::new(quecota_storage_t {
        size: size_of::<quecota_storage_t>() as u32,
        ctx,
        image,
        journal,
        read: Some(read::<P>),
        write: Some(write::<P>),
        erase: Some(erase::<P>),
        sync: Some(sync::<P>),
    }));
    let system = Box::leak(Box::new(quecota_system_t {
        size: size_of::<quecota_system_t>() as u32,
        ctx,
        millis: Some(millis::<P>),
        random: Some(random::<P>),
        device_key: Some(device_key::<P>),
        lock: Some(lock::<P>),
        unlock: Some(unlock::<P>),
        wake: Some(wake::<P>),
        log: Some(log::<P>),
        battery: Some(battery::<P>),
        voltage: Some(voltage::<P>),
        signal: Some(signal::<P>),
        rsrp: Some(rsrp::<P>),
        free_space: Some(free_space::<P>),
        module_model: Some(module_model::<P>),
        module_version: Some(module_version::<P>),
        apply: Some(apply::<P>),
        run: Some(run::<P>),
        stop: Some(stop::<P>),
        apply_files: Some(apply_files::<P>),
    }));
    let size = size_of::<quecota_platform_t>() as u32;
    Box::leak(Box::new(quecota_platform_t { size, transport, storage, system }))
}

/// Something that is so or not, and can be waited for.
#[derive(Default)]
struct Flag {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    fn guard(&self) -> MutexGuard<'_, bool> {
        // A bool is never half-written.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is clear, then sets it.
    fn take(&self) {
        let guard = self.guard();
        *self.changed.wait_while(guard, |set| *set).unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn set(&self, to: bool) {
        *self.guard() = to;
        self.changed.notify_one();
    }

    /// Waits until it is set or the time is over, then clears it.
    fn wait(&self, most: Duration) {
        let guard = self.guard();
        let (mut guard, _) =
            self.changed.wait_timeout_while(guard, most, |set| !*set).unwrap_or_else(PoisonError::into_inner);
        *guard = false;
    }
}

/// The thread that polls.
#[derive(Default)]
struct Kernel {
    thread: Option<JoinHandle<()>>,
    stop: bool,
}

struct Bridge<P> {
    /// The device's lock.
    lock: Flag,
    /// There is work.
    wake: Flag,
    kernel: Mutex<Kernel>,
    guarded: UnsafeCell<Guarded<P>>,
}

/// What the device's lock guards.
struct Guarded<P> {
    platform: P,
    /// The last device key, model and version, with their NUL.
    texts: [CString; 3],
}

impl<P> Bridge<P> {
    /// # Safety
    /// `ctx` is the one that [`table`] made.
    unsafe fn of<'a>(ctx: *mut c_void) -> &'a Self {
        // SAFETY: leaked, so it lives; only shared references to it are ever made.
        unsafe { &*ctx.cast::<Self>() }
    }

    /// # Safety
    /// As [`Self::of`], and the device's lock is held while the result lives.
    unsafe fn guarded<'a>(ctx: *mut c_void) -> &'a mut Guarded<P> {
        // SAFETY: the lock makes this the only reference.
        unsafe { &mut *Self::of(ctx).guarded.get() }
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn area<P: Platform>(platform: &P, area: Area) -> quecota_area_t {
    let shape = platform.geometry(area);
    quecota_area_t { size: shape.size, erase: shape.erase, program: shape.program, erased: shape.erased }
}

fn started(result: Result<(), Refused>) -> i32 {
    i32::from(result.is_err())
}

fn stored(result: Result<(), StorageError>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(StorageError::Range) => 1,
        Err(StorageError::Full) => 2,
        Err(StorageError::Failed) => 3,
    }
}

fn which(area: i32) -> Area {
    if area == Area::Image as i32 { Area::Image } else { Area::Journal }
}

/// # Safety
/// `text` is NULL or NUL-terminated and lives for `'a`.
unsafe fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: the caller's promise. All strings come from the core, which is UTF-8 throughout.
    unsafe { crate::boundary::string(text) }.unwrap_or("")
}

// SAFETY (of every function below): only quecota_t calls them, as the table says: with the `ctx` of `table`, with
// pointers that live through the call, and, but for lock, unlock, wake, run and stop, with the lock held.

unsafe extern "C" fn connect<P: Hosted>(ctx: *mut c_void, to: *const quecota_connect_t) -> i32 {
    // SAFETY: see above.
    unsafe {
        let to = Connect {
            url: text((*to).url),
            client_id: text((*to).client_id),
            user_name: text((*to).user_name),
            password: text((*to).password),
            keep_alive: (*to).keep_alive,
        };
        started(Bridge::<P>::guarded(ctx).platform.connect(&to))
    }
}

unsafe extern "C" fn disconnect<P: Hosted>(ctx: *mut c_void) {
    // SAFETY: see above.
    unsafe { Bridge::<P>::guarded(ctx) }.platform.disconnect();
}

unsafe extern "C" fn subscribe<P: Hosted>(ctx: *mut c_void, filter: *const c_char) -> i32 {
    // SAFETY: see above.
    unsafe { started(Bridge::<P>::guarded(ctx).platform.subscribe(text(filter))) }
}

unsafe extern "C" fn publish<P: Hosted>(
    ctx: *mut c_void,
    topic: *const c_char,
    payload: *const u8,
    length: u32,
    qos: u8,
    id: u16,
) -> i32 {
    let qos = match qos {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    };
    // SAFETY: see above; a slice's pointer is never NULL.
    unsafe {
        let payload = core::slice::from_raw_parts(payload, length as usize);
        started(Bridge::<P>::guarded(ctx).platform.publish(text(topic), payload, qos, SendId(id)))
    }
}

unsafe extern "C" fn fetch<P: Hosted>(ctx: *mut c_void, url: *const c_char, start: u32, length: u32) -> i32 {
    // SAFETY: see above.
    unsafe { started(Bridge::<P>::guarded(ctx).platform.fetch(text(url), Range { start, length })) }
}

unsafe extern "C" fn fetch_cancel<P: Hosted>(ctx: *mut c_void) {
    // SAFETY: see above.
    unsafe { Bridge::<P>::guarded(ctx) }.platform.fetch_cancel();
}

unsafe extern "C" fn read<P: Hosted>(
    ctx: *mut c_void,
    area: i32,
    offset: u32,
    data: *mut u8,
    length: u32,
) -> i32 {
    // SAFETY: see above.
    unsafe {
        let data = core::slice::from_raw_parts_mut(data, length as usize);
        stored(Bridge::<P>::guarded(ctx).platform.read(which(area), offset, data))
    }
}

unsafe extern "C" fn write<P: Hosted>(
    ctx: *mut c_void,
    area: i32,
    offset: u32,
    data: *const u8,
    length: u32,
) -> i32 {
    // SAFETY: see above.
    unsafe {
        let data = core::slice::from_raw_parts(data, length as usize);
        stored(Bridge::<P>::guarded(ctx).platform.write(which(area), offset, data))
    }
}

unsafe extern "C" fn erase<P: Hosted>(ctx: *mut c_void, area: i32, offset: u32, length: u32) -> i32 {
    // SAFETY: see above.
    stored(unsafe { Bridge::<P>::guarded(ctx) }.platform.erase(which(area), offset, length))
}

unsafe extern "C" fn sync<P: Hosted>(ctx: *mut c_void, area: i32) -> i32 {
    // SAFETY: see above.
    stored(unsafe { Bridge::<P>::guarded(ctx) }.platform.sync(which(area)))
}

unsafe extern "C" fn millis<P: Hosted>(ctx: *mut c_void) -> u32 {
    // SAFETY: see above.
    unsafe { Bridge::<P>::guarded(ctx) }.platform.millis()
}

unsafe extern "C" fn random<P: Hosted>(ctx: *mut c_void, data: *mut u8, length: u32) {
    // SAFETY: see above.
    unsafe {
        let data = core::slice::from_raw_parts_mut(data, length as usize);
        Bridge::<P>::guarded(ctx).platform.random(data);
    }
}

unsafe extern "C" fn lock<P: Hosted>(ctx: *mut c_void) {
    // SAFETY: see above.
    unsafe { Bridge::<P>::of(ctx) }.lock.take();
}

unsafe extern "C" fn unlock<P: Hosted>(ctx: *mut c_void) {
    // SAFETY: see above.
    unsafe { Bridge::<P>::of(ctx) }.lock.set(false);
}

unsafe extern "C" fn wake<P: Hosted>(ctx: *mut c_void) {
    // SAFETY: see above.
    unsafe { Bridge::<P>::of(ctx) }.wake.set(true);
}

unsafe extern "C" fn log<P: Hosted>(ctx: *mut c_void, level: i32, line: *const c_char, _length: u32) {
    let level = match level {
        1 => Level::Error,
        2 => Level::Warn,
        3 => Level::Info,
        _ => Level::Debug,
    };
    // SAFETY: see above.
    unsafe { Bridge::<P>::guarded(ctx).platform.log(level, text(line)) }
}

fn number<N: Into<i32>>(value: Option<N>) -> i32 {
    value.map_or(QUECOTA_UNKNOWN, Into::into)
}

unsafe extern "C" fn battery<P: Hosted>(ctx: *mut c_void) -> i32 {
    // SAFETY: see above.
    number(unsafe { Bridge::<P>::guarded(ctx) }.platform.battery())
}

unsafe extern "C" fn voltage<P: Hosted>(ctx: *mut c_void) -> i32 {
    // SAFETY: see above.
    number(unsafe { Bridge::<P>::guarded(ctx) }.platform.voltage())
}

unsafe extern "C" fn signal<P: Hosted>(ctx: *mut c_void) -> i32 {
    // SAFETY: see above.
    number(unsafe { Bridge::<P>::guarded(ctx) }.platform.signal())
}

unsafe extern "C" fn rsrp<P: Hosted>(ctx: *mut c_void) -> i32 {
    // SAFETY: see above.
    number(unsafe { Bridge::<P>::guarded(ctx) }.platform.rsrp())
}

unsafe extern "C" fn free_space<P: Hosted>(ctx: *mut c_void) -> u32 {
    // SAFETY: see above.
    unsafe { Bridge::<P>::guarded(ctx) }.platform.free_space().unwrap_or(QUECOTA_LENGTH_UNKNOWN)
}

/// Keeps `text` where C can read it until the next call.
fn kept(place: &mut CString, text: Vec<u8>) -> *const c_char {
    // A NUL inside would cut the text; such a text is none.
    *place = CString::new(text).unwrap_or_default();
    place.as_ptr()
}

unsafe extern "C" fn device_key<P: Hosted>(ctx: *mut c_void) -> *const c_char {
    // SAFETY: see above.
    let Guarded { platform, texts: [text, _, _] } = unsafe { Bridge::<P>::guarded(ctx) };
    kept(text, platform.device_key().into())
}

unsafe extern "C" fn module_model<P: Hosted>(ctx: *mut c_void) -> *const c_char {
    // SAFETY: see above.
    let Guarded { platform, texts: [_, text, _] } = unsafe { Bridge::<P>::guarded(ctx) };
    kept(text, platform.module_model().into())
}

unsafe extern "C" fn module_version<P: Hosted>(ctx: *mut c_void) -> *const c_char {
    // SAFETY: see above.
    let Guarded { platform, texts: [_, _, text] } = unsafe { Bridge::<P>::guarded(ctx) };
    kept(text, platform.module_version().into())
}

unsafe extern "C" fn apply<P: Hosted>(ctx: *mut c_void, length: u32) -> i32 {
    // SAFETY: see above.
    within(unsafe { Bridge::<P>::guarded(ctx) }.platform.apply(length))
}

unsafe extern "C" fn apply_files<P: Hosted>(
    ctx: *mut c_void,
    files: *const quecota_staged_file_t,
    count: u32,
) -> i32 {
    // SAFETY: the library hands over `count` of them.
    let files = unsafe { std::slice::from_raw_parts(files, count as usize) };
    let staged = |file: &quecota_staged_file_t| StagedFile {
        index: file.index,
        offset: file.offset,
        size: file.length,
        md5: file.md5,
    };
    let files: Vec<StagedFile> = files.iter().map(staged).collect();
    // SAFETY: see above.
    within(unsafe { Bridge::<P>::guarded(ctx) }.platform.apply_files(&files))
}

fn within(applied: Applied) -> i32 {
    match applied {
        Applied::Within(millis) => i32::try_from(millis).unwrap_or(i32::MAX),
        Applied::Refused => -1,
    }
}

unsafe extern "C" fn run<P: Hosted>(ctx: *mut c_void, device: *mut quecota_t) -> i32 {
    let Some(device) = ptr::NonNull::new(device).map(Device) else { return -1 };
    // SAFETY: see above.
    let bridge = unsafe { Bridge::<P>::of(ctx) };
    bridge.lock.take();
    // SAFETY: the lock was just taken.
    unsafe { Bridge::<P>::guarded(ctx) }.platform.attach(device);
    bridge.lock.set(false);
    // SAFETY: as above; a second reference for the thread, which the leaked bridge outlives.
    let of_thread = AssertSend(unsafe { Bridge::<P>::of(ctx) });
    bridge.kernel().stop = false;
    let thread = std::thread::Builder::new().name("quecota".into()).spawn(move || {
        let AssertSend(bridge) = { of_thread };
        while !bridge.kernel().stop {
            bridge.wake.wait(device.poll());
        }
    });
    match thread {
        Ok(thread) => {
            bridge.kernel().thread = Some(thread);
            0
        }
        Err(_) => -1,
    }
}

/// The bridge as the kernel thread holds it.
struct AssertSend<P: 'static>(&'static Bridge<P>);
// SAFETY: the thread uses only the flags and the kernel of the bridge, which are Sync.
unsafe impl<P> Send for AssertSend<P> {}

unsafe extern "C" fn stop<P: Hosted>(ctx: *mut c_void) {
    // SAFETY: see above.
    let bridge = unsafe { Bridge::<P>::of(ctx) };
    let thread = {
        let mut kernel = bridge.kernel();
        kernel.stop = true;
        kernel.thread.take()
    };
    bridge.wake.set(true);
    if let Some(thread) = thread
        && thread.thread().id() != std::thread::current().id()
    {
        // It only fails if the thread panicked, and then it is over, too.
        let _ = thread.join();
    }
}

// The default platform of a host: weak, so that an object file of the application may define another. It is one jump
// to `quecota_host_platform()` of src/host, because Rust has no weak functions.
core::arch::global_asm!(
    ".weak quecota_default_platform",
    ".type quecota_default_platform, %function",
    ".text",
    "quecota_default_platform:",
    #[cfg(target_arch = "x86_64")]
    "jmp quecota_host_platform@PLT",
    #[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc"))]
    "b quecota_host_platform",
    #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
    "tail quecota_host_platform",
);
