//! The one device of the process, on the platform of `quecota_default_platform()`.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use quecota_core::limits;

use super::default_platform::quecota_default_platform;
use super::events::pass_early_callback_on;
use super::slot::{self, device};
use super::types::{FALSE, TRUE, qbool};
use crate::native::{
    Device, QUECOTA_SIZE, quecota_config_t, quecota_dialect_values, quecota_init, quecota_memory_t,
    quecota_resume_values,
};

/// Bytes of the receive buffer.
const RECEIVE: usize = 2 * limits::RECEIVE_BUFFER_MIN;

struct Instance {
    /// Somebody is in `Ql_iotInit` or was there with success.
    taken: AtomicBool,
    memory: UnsafeCell<MaybeUninit<quecota_memory_t>>,
    receive: UnsafeCell<[u8; RECEIVE]>,
}

// SAFETY: memory and receive buffer are touched only by the device in them, which has the platform's lock, and by the
// one `Ql_iotInit` that has `taken`.
unsafe impl Sync for Instance {}

static INSTANCE: Instance = Instance {
    taken: AtomicBool::new(false),
    memory: UnsafeCell::new(MaybeUninit::uninit()),
    receive: UnsafeCell::new([0; RECEIVE]),
};

/// Loads what was stored, prepares recovery and starts the platform's task. TRUE again when it was done before. FALSE
/// when the platform cannot be used; then it may be called again.
///
/// On Linux the device belongs to the process that called this. In a child that is forked later every call is refused,
/// this one too: a daemon forks first. The library's threads take no signals, and neither does the event callback, which
/// runs in one of them.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotInit() -> qbool {
    boundary!(FALSE, { init(quecota_dialect_values::QUECOTA_DIALECT_2_9) })
}

/// Ql_iotInit() for applications of SDK 2.10 and later: the header ql_api_qthsdk.h maps the name.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotInit_2_10() -> qbool {
    boundary!(FALSE, { init(quecota_dialect_values::QUECOTA_DIALECT_2_10) })
}

fn init(dialect: quecota_dialect_values) -> qbool {
    if let Some(device) = device() {
        // Refused in a forked child, to which the device does not belong.
        return qbool::from(device.enter(|_, _| ()).is_ok());
    }
    if !take() {
        // Another task is in here just now.
        return FALSE;
    }
    let made = make(dialect);
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

fn make(dialect: quecota_dialect_values) -> qbool {
    // SAFETY: the port's function, whose only duty is to return a platform or NULL.
    let platform = unsafe { quecota_default_platform() };
    let mut device = ptr::null_mut();
    let config = quecota_config_t {
        size: size_of::<quecota_config_t>() as u32,
        dialect: dialect as i32,
        receive: INSTANCE.receive.get().cast(),
        receive_size: RECEIVE as u32,
        event: None,
        event_ctx: ptr::null_mut(),
        resume: quecota_resume_values::QUECOTA_RESUME_ASK as i32,
    };
    let memory = INSTANCE.memory.get().cast();
    // SAFETY: `taken` makes memory and receive buffer ours; the platform is the port's.
    let error = unsafe { quecota_init(memory, QUECOTA_SIZE, &raw const config, platform, &raw mut device) };
    let device = device.cast::<Device>();
    // SAFETY: NULL or the device that was just made.
    let Some(made) = (unsafe { device.as_ref() }).filter(|_| error == 0) else { return FALSE };
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
