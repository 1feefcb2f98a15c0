//! Why an upgrade failed, for C.

use core::ffi::c_char;

use quecota_core::c_words;
use quecota_core::ota::Failure;

use super::call::asked;
use super::handle::quecota_t;

/// Reason of the last failure; QUECOTA_FAILURE_*. A platform of quecota gets the same number with its status
/// report.
pub type quecota_failure_t = i32;

/// Values of quecota_failure_t. They stay the same in later versions, which may add more.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_failure_values {
    /// Nothing failed since the plan came.
    QUECOTA_FAILURE_NONE = 0,
    /// The platform sent no firmware URL in time.
    QUECOTA_FAILURE_NO_URL = 1,
    /// The platform's firmware information is incomplete or not usable.
    QUECOTA_FAILURE_BAD_INFO = 2,
    /// The image area has no room for the image.
    QUECOTA_FAILURE_NO_ROOM = 3,
    /// The firmware server does not answer.
    QUECOTA_FAILURE_NO_ANSWER = 4,
    /// The firmware server answered another status than 200 or 206.
    QUECOTA_FAILURE_HTTP_STATUS = 5,
    /// The firmware server sent another range than was asked for.
    QUECOTA_FAILURE_WRONG_RANGE = 6,
    /// The body ended early.
    QUECOTA_FAILURE_SHORT = 7,
    /// The body is longer than was asked for.
    QUECOTA_FAILURE_LONG = 8,
    /// The download stalled.
    QUECOTA_FAILURE_STALLED = 9,
    /// The image area failed.
    QUECOTA_FAILURE_STORAGE = 10,
    /// The digests of the image are not the announced ones.
    QUECOTA_FAILURE_WRONG_DIGEST = 11,
    /// The plan did not come back after a failed download.
    QUECOTA_FAILURE_PLAN_GONE = 12,
    /// The application did not read the staged piece in time.
    QUECOTA_FAILURE_NOT_READ = 13,
    /// The new version was not reported in time.
    QUECOTA_FAILURE_NO_VERSION = 14,
    /// Another version than the target was reported.
    QUECOTA_FAILURE_OTHER_VERSION = 15,
    /// The platform's apply refused the image.
    QUECOTA_FAILURE_APPLY_REFUSED = 16,
    /// The application cancelled the upgrade.
    QUECOTA_FAILURE_CANCELLED = 17,
    /// The application held the module firmware back for too long.
    QUECOTA_FAILURE_HELD_TOO_LONG = 18,
    /// The device restarted again and again without getting further.
    QUECOTA_FAILURE_RESTARTS = 19,
    /// The package has several files, and the platform's table has no apply_files.
    QUECOTA_FAILURE_NO_PACKAGES = 20,
    /// The download took too long, though bytes came.
    QUECOTA_FAILURE_TOO_SLOW = 21,
    /// The firmware URL, or those of a package together, are longer than 2048 bytes, or their message is longer than the
    /// receive buffer.
    QUECOTA_FAILURE_URL_TOO_LONG = 22,
    /// The firmware server sent a compressed body (Content-Encoding).
    QUECOTA_FAILURE_ENCODED = 23,
    /// What was staged before a restart of the device reads back otherwise; it is fetched again.
    QUECOTA_FAILURE_DAMAGED = 24,
}

/// The reason of the last failure, until the next plan is answered or an upgrade succeeds; QUECOTA_FAILURE_NONE also for
/// a device that is NULL or not started.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_failure(device: *mut quecota_t) -> quecota_failure_t {
    boundary!(0, {
        // SAFETY: the C caller's promise about the handle.
        unsafe {
            asked(device, 0, |agent| {
                agent.ota_progress().failure.map_or(0, |failure| failure as quecota_failure_t)
            })
        }
    })
}

/// What a quecota_failure_t means, in English; never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_failure_text(failure: quecota_failure_t) -> *const c_char {
    boundary!(core::ptr::null(), { text(failure).as_ptr().cast() })
}

/// For C.
fn text(failure: quecota_failure_t) -> &'static str {
    if !cfg!(feature = "texts") {
        return c_words!("");
    }
    match u16::try_from(failure) {
        Ok(0) => c_words!("nothing failed"),
        Ok(number) => Failure::of(number).map_or(c_words!("unknown failure"), Failure::with_nuls),
        Err(_) => c_words!("unknown failure"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quecota_core::text::without_nuls;

    #[test]
    fn the_header_has_each_failure_of_the_core_by_its_number() {
        let source = include_str!("failure.rs");
        let declared = source.split("pub enum quecota_failure_values {").nth(1).unwrap();
        let declared = declared.split("\n}").next().unwrap();
        for failure in Failure::ALL {
            let name = format!("{failure:?}");
            let mut upper = String::new();
            for letter in name.chars() {
                if letter.is_uppercase() && !upper.is_empty() {
                    upper.push('_');
                }
                upper.extend(letter.to_uppercase());
            }
            let line = format!("QUECOTA_FAILURE_{upper} = {},", *failure as u16);
            assert!(declared.contains(&line), "{line}");
            assert_eq!(without_nuls(text(*failure as i32)), failure.text());
        }
        assert_eq!(declared.matches(" = ").count(), Failure::ALL.len() + 1);
        assert_eq!((text(0), text(-1)), ("nothing failed\0\0", "unknown failure\0\0"));
    }
}
