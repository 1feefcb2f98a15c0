//! `Ql_iotCmdOta*`.

use super::slot::device;
use super::types::{FALSE, TRUE, qbool, quint8_t, quint32_t};
use crate::native::Given;

/// Asks the platform for an upgrade plan. Mode 0: as it is; 1: the SHA-256 is wanted, too. FALSE when offline, and for
/// any other mode, for which nothing is sent.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdOtaRequest(mode: quint32_t) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotCmdOtaRequest",
        Given::Count(mode),
        "must be 0 or 1, and the session be online",
        {
            let Some(device) = device() else { return FALSE };
            let asked = device.tell(|agent, _| agent.ota_request(mode).is_ok());
            qbool::from(asked.unwrap_or(false))
        }
    )
}

/// 0 refuses the plan, 1 confirms it, 2 fetches the next piece, 3 says that the MCU is updating. FALSE when the state
/// does not allow it. May be called inside the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdOtaAction(action: quint8_t) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotCmdOtaAction",
        Given::Count(action.into()),
        "0 and 1 answer a plan, 2 and 3 follow a staged piece; the present OTA state does not allow it",
        {
            let Some(device) = device() else { return FALSE };
            match device.tell(|agent, platform| agent.ota_action(platform, action)) {
                Ok(Ok(())) => TRUE,
                _ => FALSE,
            }
        }
    )
}

/// Reads up to `maxLen` bytes of the staged piece from `startAddr`, which counts from the start of the whole file.
/// Returns the bytes read; 0: an error.
///
/// # Safety
/// `data` is NULL or points to `maxLen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotCmdOtaMcuFWDataRead(
    startAddr: quint32_t,
    data: *mut quint8_t,
    maxLen: quint32_t,
) -> quint32_t {
    iot_call!(
        0,
        "Ql_iotCmdOtaMcuFWDataRead",
        Given::Count(startAddr),
        "startAddr must be inside the staged piece, maxLen at least 1, data not NULL",
        {
            let Some(device) = device() else { return 0 };
            let data = bytes_mut!(data, maxLen, else 0);
            if data.is_empty() {
                return 0;
            }
            match device.tell(|agent, platform| agent.ota_read(platform, startAddr, data)) {
                Ok(Ok(count)) => quint32_t::try_from(count).unwrap_or(0),
                _ => 0,
            }
        }
    )
}
