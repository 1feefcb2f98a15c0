//! Upgrades: the events of one, and what the application answers or asks.

use super::error::{QUECOTA_ERROR_NULL, QUECOTA_ERROR_VALUE, quecota_error_t};
use super::handle::quecota_t;
use super::refusal::Given;

/// `code` of a QUECOTA_EVENT_OTA.
pub type quecota_ota_t = i32;

/// Values of quecota_ota_t. Texts quote names and give numbers in decimal, separated by commas.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_ota_values {
    /// There is a plan: `"component","source version","target version",battery,signal,space`. Answer with
    /// QUECOTA_ACTION_CONFIRM or QUECOTA_ACTION_REFUSE.
    QUECOTA_OTA_PLAN = 10700,
    /// The download starts: `"component",size,"md5",crc` and, where asked for, `,"sha256"`; no value for a module.
    QUECOTA_OTA_START = 10701,
    /// The download goes on; no value.
    QUECOTA_OTA_DOWNLOADING = 10702,
    /// A piece is staged and can be read: `"component",size,start,length`; no value for a module.
    QUECOTA_OTA_DOWNLOADED = 10703,
    /// The update runs; no value.
    QUECOTA_OTA_UPDATING = 10704,
    /// The component has its target version; no value.
    QUECOTA_OTA_SUCCESS = 10705,
    /// The upgrade failed; no value.
    QUECOTA_OTA_FAILED = 10706,
    /// A plan of several components was answered: `0` refused, `1` confirmed.
    QUECOTA_OTA_ANSWERED = 10707,
}

/// The application's answer to an OTA event.
pub type quecota_action_t = i32;

/// Values of quecota_action_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_action_values {
    /// Refuse the plan.
    QUECOTA_ACTION_REFUSE = 0,
    /// Confirm the plan.
    QUECOTA_ACTION_CONFIRM = 1,
    /// The staged piece was read: fetch the next.
    QUECOTA_ACTION_NEXT = 2,
    /// The last piece was read and the MCU is updating itself.
    QUECOTA_ACTION_UPDATING = 3,
}

/// State and byte counts of an upgrade.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct quecota_progress_t {
    /// The state as reported to the platform: 0 no plan, 1 plan received, 2 confirmed, 3 refused, 4 download starts,
    /// 5 downloading, 6 download failed, 8 piece or file staged, 9 updating, 11 success, 12 failed.
    pub state: i32,
    /// Bytes of the file that are downloaded.
    pub received: u32,
    /// Bytes of the file in all; 0 before it is known.
    pub size: u32,
}

/// Asks the platform for an upgrade plan. `want_sha256` is not 0: the SHA-256 of the file is wanted, too.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_request(device: *mut quecota_t, want_sha256: i32) -> quecota_error_t {
    native_call!(tell device, "ota_request", Given::Number(want_sha256), "", move |agent, _| {
        Ok(agent.ota_request(u32::from(want_sha256 != 0))?)
    })
}

/// Answers an OTA event; also from inside the event callback. QUECOTA_ERROR_STATE: the state does not allow it.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_action(
    device: *mut quecota_t,
    action: quecota_action_t,
) -> quecota_error_t {
    native_call!(tell device, "ota_action", Given::Number(action), "must be one of QUECOTA_ACTION_*", move |agent, platform| {
        let action = u8::try_from(action).map_err(|_| QUECOTA_ERROR_VALUE)?;
        Ok(agent.ota_action(platform, action)?)
    })
}

/// Reads from the staged piece: up to `size` bytes from `offset`, which counts from the start of the whole file.
/// `*read` is how many there were, at least 1 on success; 0 otherwise.
///
/// # Safety
/// As quecota_start(); `data` points to `size` bytes, `read` to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_read(
    device: *mut quecota_t,
    offset: u32,
    data: *mut u8,
    size: u32,
    read: *mut u32,
) -> quecota_error_t {
    native_call!(tell device, "ota_read", Given::Count(offset), "offset must be inside the staged piece, size at least 1" clears read, move |agent, platform| {
        let room = bytes_mut!(data, size, else Err(QUECOTA_ERROR_NULL));
        write_to!(read, 0, else Err(QUECOTA_ERROR_NULL));
        if room.is_empty() {
            return Err(QUECOTA_ERROR_VALUE);
        }
        let count = agent.ota_read(platform, offset, room)?;
        // SAFETY: not NULL, as was just checked.
        unsafe { read.write(u32::try_from(count).unwrap_or(u32::MAX)) };
        Ok(())
    })
}

/// Checkpoint of the application: the bytes before `offset` of the present MCU image are in the MCU's flash and survive
/// power loss. On QUECOTA_OK the checkpoint is in the journal. After a reboot the download goes on there, and the first
/// QUECOTA_OTA_DOWNLOADED begins there, even if the staging area holds only pieces of the image. Fetched again is at
/// most 16 KB (or an erase block of the image area, if that is larger).
///
/// `offset` counts bytes from the start of the whole file. While a piece is staged (state 8): from the start that
/// QUECOTA_OTA_DOWNLOADED gave to the end of that piece. Between pieces: the end of the last piece. 0 takes the
/// checkpoint back; in states 1 and 2 the image then begins again at its first byte.
///
/// A checkpoint belongs to one image: component, target version, size and digests. It is dropped for any other image,
/// and when the digest of the whole image is wrong; so write where QUECOTA_OTA_DOWNLOADED says, also before the
/// checkpoint. Each call writes some 200 bytes to the journal; once for each 16 KB is enough. It restarts the 60 s within
/// which a staged piece must be read.
///
/// QUECOTA_ERROR_STATE: no MCU upgrade with a known file is in states 1 to 8. QUECOTA_ERROR_RANGE: `offset` is outside
/// the range above. QUECOTA_ERROR_STORAGE: the journal was not written, or the staged bytes cannot be read. May be called
/// inside the event callback.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_checkpoint(device: *mut quecota_t, offset: u32) -> quecota_error_t {
    native_call!(tell device, "ota_checkpoint", Given::Count(offset), "must be from the start to the end of the staged piece; between pieces the end of the last one; or 0", move |agent, platform| {
        Ok(agent.ota_checkpoint(platform, offset)?)
    })
}

/// Writes the present checkpoint to `*offset`: where the application goes on with the present image; 0: at its first
/// byte. Known as soon as quecota_start() has returned, and certain from QUECOTA_OTA_START on, which shows that the image
/// is still the same.
///
/// # Safety
/// As quecota_start(); `offset` points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_get_checkpoint(
    device: *mut quecota_t,
    offset: *mut u32,
) -> quecota_error_t {
    native_call!(ask device, "ota_get_checkpoint", Given::Nothing, "" clears offset, move |agent, _| {
        write_to!(offset, agent.ota_get_checkpoint(), else Err(QUECOTA_ERROR_NULL));
        Ok(())
    })
}

/// Cancels the upgrade in any state. A plan without an answer is refused. A later upgrade fails (QUECOTA_OTA_FAILED)
/// with QUECOTA_FAILURE_CANCELLED, its staged bytes are dropped, and components of the plan that have not begun do not
/// begin. The platform may offer the plan again. QUECOTA_ERROR_STATE: there is no upgrade, or module firmware was handed
/// over already, and the version that runs decides. May be called inside the event callback.
///
/// # Safety
/// As quecota_start().
#[cfg(feature = "controls")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_cancel(device: *mut quecota_t) -> quecota_error_t {
    native_call!(tell device, "ota_cancel", Given::Nothing, "", move |agent, platform| {
        Ok(agent.cancel(platform)?)
    })
}

/// Holds verified module firmware back from apply(), which restarts the module, until quecota_ota_allow_apply(). For
/// moments in which a restart does harm (moving actuators). May be called at any time, also in advance; ends with the
/// next start of the device. After 45 minutes, counted from when the firmware would have been handed over, the upgrade
/// fails with QUECOTA_FAILURE_HELD_TOO_LONG, because the platform stops waiting then, too. QUECOTA_ERROR_STATE: the
/// firmware was handed over already. May be called inside the event callback.
///
/// # Safety
/// As quecota_start().
#[cfg(feature = "controls")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_hold_apply(device: *mut quecota_t) -> quecota_error_t {
    native_call!(ask device, "ota_hold_apply", Given::Nothing, "", move |agent, _| Ok(agent.hold_apply()?))
}

/// Ends quecota_ota_hold_apply(). Firmware that was held back is handed to apply() before this returns, so the module may
/// restart at any moment from then on. Without a hold: no effect.
///
/// # Safety
/// As quecota_start().
#[cfg(feature = "controls")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_allow_apply(device: *mut quecota_t) -> quecota_error_t {
    native_call!(tell device, "ota_allow_apply", Given::Nothing, "", move |agent, platform| {
        agent.allow_apply(platform);
        Ok(())
    })
}

/// Extends the time limit of the MCU: the upgrade does not fail for the next `milliseconds`. While a piece is staged
/// (state 8) this is the limit for reading it, 60 s from one read to the next; at most 50 minutes in all for one piece.
/// While the MCU updates (state 9) it is the limit for its new version, 20 minutes; at most 100 minutes more in all. A
/// value below what is left changes nothing. A platform may give up sooner (quecota-center after 60 minutes in state 8
/// and 30 in 9); a version that is reported later still counts.
///
/// QUECOTA_ERROR_STATE: no MCU upgrade is in state 8 or 9. QUECOTA_ERROR_RANGE: above the limit in all; nothing changes.
/// May be called inside the event callback.
///
/// # Safety
/// As quecota_start().
#[cfg(feature = "controls")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_need_time(device: *mut quecota_t, milliseconds: u32) -> quecota_error_t {
    native_call!(tell device, "ota_need_time", Given::Count(milliseconds), "at most 50 minutes in all for one piece, 100 for the update", move |agent, platform| {
        Ok(agent.need_time(platform, milliseconds)?)
    })
}

/// Writes state and byte counts of the upgrade to `*progress`.
///
/// # Safety
/// As quecota_start(); `progress` points to a quecota_progress_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_progress(
    device: *mut quecota_t,
    progress: *mut quecota_progress_t,
) -> quecota_error_t {
    native_call!(ask device, "ota_progress", Given::Nothing, "" clears progress, move |agent, _| {
        let now = agent.ota_progress();
        let now = quecota_progress_t { state: i32::from(now.state), received: now.received, size: now.size };
        write_to!(progress, now, else Err(QUECOTA_ERROR_NULL));
        Ok(())
    })
}
