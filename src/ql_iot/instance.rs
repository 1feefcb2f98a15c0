//! The one device of the process, on the platform of `quecota_default_platform()`.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use quecota_core::limits;
use quecota_core::platform::Level;

use super::default_platform::quecota_default_platform;
#[cfg(feature = "host")]
use super::environment::Environment;
use super::events::pass_early_callback_on;
use super::slot::{self, device};
use super::types::{FALSE, TRUE, qbool};
use crate::native::{
    Device, QUECOTA_SIZE, quecota_config_t, quecota_dialect_values, quecota_init, quecota_memory_t,
    quecota_platform_t, quecota_resume_values,
};

/// Bytes of the receive buffer.
const RECEIVE: usize = 2 * limits::RECEIVE_BUFFER_MIN;

struct Instance {
    /// Somebody is in `Ql_iotInit` or was there with success.
    taken: AtomicBool,
}

/// The device's memory. The archive that CMake makes has it in an object of its own, with `Ql_iotInit` (init.c), so that
/// a program without that call does not pay for it.
struct Memory {
    device: UnsafeCell<MaybeUninit<quecota_memory_t>>,
    receive: UnsafeCell<[u8; RECEIVE]>,
}

// SAFETY: touched only by the device in it, which has the platform's lock, and by the one `Ql_iotInit` that has `taken`.
unsafe impl Sync for Memory {}

static MEMORY: Memory =
    Memory { device: UnsafeCell::new(MaybeUninit::uninit()), receive: UnsafeCell::new([0; RECEIVE]) };

/// What `Ql_iotInit` makes the device of.
struct Parts {
    platform: unsafe extern "C" fn() -> *const quecota_platform_t,
    memory: *mut quecota_memory_t,
    receive: *mut u8,
    receive_size: u32,
    /// A string that is NULL or empty if there is none.
    default_server: *const c_char,
}

/// The parts of the archive that cargo makes.
fn parts() -> Parts {
    Parts {
        platform: quecota_default_platform,
        memory: MEMORY.device.get().cast(),
        receive: MEMORY.receive.get().cast(),
        receive_size: RECEIVE as u32,
        default_server: ptr::null(),
    }
}

static INSTANCE: Instance = Instance { taken: AtomicBool::new(false) };

/// Loads what was stored, prepares recovery and starts the platform's task. TRUE again when it was done before. FALSE
/// when the platform cannot be used; then it may be called again.
///
/// On Linux the device belongs to the process that called this. In a child that is forked later every call is refused,
/// this one too: a daemon forks first. The library's threads take no signals, and neither does the event callback, which
/// runs in one of them.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotInit() -> qbool {
    boundary!(FALSE, { init(quecota_dialect_values::QUECOTA_DIALECT_2_9 as i32, &parts()) })
}

/// Ql_iotInit() for applications of SDK 2.10 and later: the header ql_api_qthsdk.h maps the name.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotInit_2_10() -> qbool {
    boundary!(FALSE, { init(quecota_dialect_values::QUECOTA_DIALECT_2_10 as i32, &parts()) })
}

/// Ql_iotInit() of init.c.
///
/// # Safety
/// `platform` is the port's function; memory and receive buffer of that size are nobody else's, and live for ever;
/// `default_server` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ql_iot_init(
    dialect: i32,
    platform: unsafe extern "C" fn() -> *const quecota_platform_t,
    memory: *mut quecota_memory_t,
    receive: *mut u8,
    receive_size: u32,
    default_server: *const c_char,
) -> qbool {
    boundary!(FALSE, { init(dialect, &Parts { platform, memory, receive, receive_size, default_server }) })
}

fn init(dialect: i32, parts: &Parts) -> qbool {
    if let Some(device) = device() {
        // Refused in a forked child, to which the device does not belong.
        return qbool::from(device.enter(|_, _| ()).is_ok());
    }
    if !take() {
        // Another task is in here just now.
        return FALSE;
    }
    let made = make(dialect, parts);
    if made == FALSE {
        INSTANCE.taken.store(false, Ordering::Release);
    }
    made
}

/// Whether this caller may make the device.
fn take() -> bool {
    // Cores without compare-and-swap have one task that initializes.
    #[cfg(target_has_atomic = "8")]
    return !INSTANCE.taken.swap(true, Ordering::AcqRel);
    #[cfg(not(target_has_atomic = "8"))]
    {
        let taken = INSTANCE.taken.load(Ordering::Acquire);
        INSTANCE.taken.store(true, Ordering::Release);
        !taken
    }
}

fn make(dialect: i32, parts: &Parts) -> qbool {
    #[cfg(feature = "host")]
    let environment = match Environment::read(|name| std::env::var_os(name)) {
        Ok(environment) => environment,
        Err(error) => {
            crate::native::before_init("Ql_iotInit", &error.to_string());
            return FALSE;
        }
    };
    #[cfg(feature = "host")]
    let dialect = environment.dialect.unwrap_or(dialect);
    // SAFETY: the port's function, whose only duty is to return a platform or NULL.
    let platform = unsafe { (parts.platform)() };
    let mut device = ptr::null_mut();
    let config = quecota_config_t {
        size: size_of::<quecota_config_t>() as u32,
        dialect,
        receive: parts.receive.cast(),
        receive_size: parts.receive_size,
        event: None,
        event_ctx: ptr::null_mut(),
        resume: quecota_resume_values::QUECOTA_RESUME_ASK as i32,
    };
    let memory = parts.memory.cast();
    // SAFETY: `taken` makes memory and receive buffer ours; the platform is the port's.
    let error = unsafe { quecota_init(memory, QUECOTA_SIZE, &raw const config, platform, &raw mut device) };
    let device = device.cast::<Device>();
    // SAFETY: NULL or the device that was just made.
    let Some(made) = (unsafe { device.as_ref() }).filter(|_| error == 0) else { return FALSE };
    // SAFETY: NULL or a string, as the caller promises.
    let server = unsafe { crate::boundary::string(parts.default_server) }.unwrap_or_default();
    #[cfg(feature = "host")]
    let server = environment.server.as_deref().unwrap_or(server);
    if !server.is_empty() {
        // It fails for the build's alone: the environment's was checked.
        let set = made.prepare(|agent, platform| {
            if agent.set_default_server(server).is_err() {
                platform.log(
                    Level::Error,
                    "the default server of this build must be mqtt://host:port or mqtts://host:port",
                );
            }
        });
        // Nobody else has the device yet.
        let _ = set;
    }
    // Before the start: the platform's task may deliver an event at once, and its callback calls back.
    slot::set(device);
    pass_early_callback_on(made);
    if made.start().is_err() {
        slot::set(ptr::null_mut());
        // Nothing can be done about an end that fails as well: the device is not handed out.
        let _ = made.end();
        return FALSE;
    }
    TRUE
}
