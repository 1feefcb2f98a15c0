//! The enums of the drop-in headers (QUECTHING.md 1.4), with the values and the spelling of the vendor's.
//!
//! Each is a number for the compiler and a list of names for the header: an enum-typed parameter would let C make a
//! Rust enum of a value that it does not have, and its size would change with `-fshort-enums`. Where SDK generations
//! differ there are two lists, one for each header.
#![allow(missing_docs)] // the names are all that is known of most of them

use super::types::{qint32_t, quint8_t, quint32_t};

/// First argument of the event callback.
pub type QIot_atEventType_e = qint32_t;

/// Values of QIot_atEventType_e (SDK 2.9).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_atEventType_e_2_9_values {
    QIOT_ATEVENT_TYPE_AUTH = 1,
    QIOT_ATEVENT_TYPE_CONN = 2,
    QIOT_ATEVENT_TYPE_SUBCRIBE = 3,
    QIOT_ATEVENT_TYPE_SEND = 4,
    QIOT_ATEVENT_TYPE_RECV = 5,
    QIOT_ATEVENT_TYPE_LOGOUT = 6,
    QIOT_ATEVENT_TYPE_OTA = 7,
    QIOT_ATEVENT_TYPE_SERVER = 8,
    QIOT_ATEVENT_TYPE_UNAUTH = 9,
    QIOT_ATECENT_TYPE_DATACOLL = 30,
}

/// Values of QIot_atEventType_e (SDK 2.10).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_atEventType_e_2_10_values {
    QIOT_ATEVENT_TYPE_AUTH = 1,
    QIOT_ATEVENT_TYPE_CONN = 2,
    QIOT_ATEVENT_TYPE_SUBCRIBE = 3,
    QIOT_ATEVENT_TYPE_SEND = 4,
    QIOT_ATEVENT_TYPE_RECV = 5,
    QIOT_ATEVENT_TYPE_LOGOUT = 6,
    QIOT_ATEVENT_TYPE_OTA = 7,
    QIOT_ATEVENT_TYPE_SERVER = 8,
    QIOT_ATEVENT_TYPE_UNAUTH = 10,
    QIOT_ATECENT_TYPE_DATACOLL = 30,
}

/// Code of QIOT_ATEVENT_TYPE_OTA.
pub type QIot_otaCode_e = qint32_t;

/// Values of QIot_otaCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_otaCode_e_values {
    QIOT_OTA_TASK_NOTIFY = 10700,
    QIOT_OTA_START = 10701,
    QIOT_OTA_DOWNLOADING = 10702,
    QIOT_OTA_DOWNLOADED = 10703,
    QIOT_OTA_UPDATING = 10704,
    QIOT_OTA_UPDATE_OK = 10705,
    QIOT_OTA_UPDATE_FAIL = 10706,
    QIOT_OTA_UPDATE_FLAG = 10707,
}

/// Code of QIOT_ATEVENT_TYPE_AUTH.
pub type QIot_authCode_e = qint32_t;

/// Values of QIot_authCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_authCode_e_values {
    QIOT_AUTH_SUCC = 10200,
    QIOT_AUTH_ERR_UNKNOWN = 10300,
    QIOT_AUTH_ERR_DMP_INSIDE = 10404,
    QIOT_AUTH_ERR_REQDATA = 10420,
    QIOT_AUTH_ERR_STATIC_DEV = 10421,
    QIOT_AUTH_ERR_DONE = 10422,
    QIOT_AUTH_ERR_PKPS_INVALID = 10423,
    QIOT_AUTH_ERR_PAYLOAD_INVALID = 10424,
    QIOT_AUTH_ERR_SIGN_INVALID = 10425,
    QIOT_AUTH_ERR_VERSION_INVALID = 10426,
    QIOT_AUTH_ERR_HASH_INVALID = 10427,
    QIOT_AUTH_ERR_PK_CHANGE = 10430,
    QIOT_AUTH_ERR_DK_ILLEGAL = 10431,
    QIOT_AUTH_ERR_PK_VER_NOCOR = 10432,
    QIOT_AUTH_ERR_FLAG = 10433,
    QIOT_AUTH_ERR_CLIENTID = 10434,
    QIOT_AUTH_ERR_ACTION_FLAG = 10435,
    QIOT_AUTH_ERR_PSWORD = 10436,
    QIOT_AUTH_ERR_DEVICE_INFO = 10438,
    QIOT_AUTH_ERR_SUBDEV_NO_ASSOCIATION = 10440,
    QIOT_AUTH_ERR_DEVICE_INSIDE = 10450,
    QIOT_AUTH_ERR_SERVER_NOTFOUND = 10466,
    QIOT_AUTH_ERR_FAIL = 10500,
}

/// Code of QIOT_ATEVENT_TYPE_CONN.
pub type QIot_connCode_e = qint32_t;

/// Values of QIot_connCode_e (SDK 2.9).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_connCode_e_2_9_values {
    QIOT_CONN_SUCC = 10200,
    QIOT_CONN_ERR_DMP_INSIDE = 10404,
    QIOT_CONN_ERR_DS_INVALID = 10430,
    QIOT_CONN_ERR_DEVICE_FORBID = 10431,
    QIOT_CONN_ERR_FLAG = 10433,
    QIOT_CONN_ERR_CLIENTID = 10434,
    QIOT_CONN_ERR_ACTION_FLAG = 10435,
    QIOT_CONN_ERR_PSWORD = 10436,
    QIOT_CONN_ERR_DS = 10437,
    QIOT_CONN_ERR_DEVICE_INFO = 10438,
    QIOT_CONN_ERR_DEVICE_INSIDE = 10450,
    QIOT_CONN_ERR_VERSION_NOTFOUND = 10471,
    QIOT_CONN_ERR_PING = 10473,
    QIOT_CONN_ERR_NET = 10474,
    QIOT_CONN_ERR_SERVER_CHANGE = 10475,
    QIOT_CONN_ERR_AP = 10476,
    QIOT_CONN_ERR_UNKNOW = 10500,
}

/// Values of QIot_connCode_e (SDK 2.10).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_connCode_e_2_10_values {
    QIOT_CONN_SUCC = 10200,
    QIOT_CONN_ERR_DMP_INSIDE = 10404,
    QIOT_CONN_ERR_DS_INVALID = 10430,
    QIOT_CONN_ERR_FLAG = 10433,
    QIOT_CONN_ERR_CLIENTID = 10434,
    QIOT_CONN_ERR_ACTION_FLAG = 10435,
    QIOT_CONN_ERR_PSWORD = 10436,
    QIOT_CONN_ERR_DS = 10437,
    QIOT_CONN_ERR_DEVICE_INFO = 10438,
    QIOT_CONN_ERR_DEVICE_INSIDE = 10450,
    QIOT_CONN_ERR_VERSION_NOTFOUND = 10471,
    QIOT_CONN_ERR_PING = 10473,
    QIOT_CONN_ERR_NET = 10474,
    QIOT_CONN_ERR_SERVER_CHANGE = 10475,
    QIOT_CONN_ERR_AP = 10476,
    QIOT_CONN_ERR_DEVICE_FORBID = 10477,
    QIOT_CONN_ERR_UNKNOW = 10500,
}

/// Code of QIOT_ATEVENT_TYPE_SUBCRIBE.
pub type QIot_subcribeCode_e = qint32_t;

/// Values of QIot_subcribeCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_subcribeCode_e_values {
    QIOT_SUBCRIBE_SUCC = 10200,
    QIOT_SUBCRIBE_ERR = 10300,
}

/// Code of QIOT_ATEVENT_TYPE_SEND.
pub type QIot_sendCode_e = qint32_t;

/// Values of QIot_sendCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_sendCode_e_values {
    QIOT_SEND_SUCC_TRANS = 10200,
    QIOT_SEND_SUCC_PHYMODEL = 10210,
    QIOT_SEND_SUCC_LOC = 10220,
    QIOT_SEND_SUCC_STATE = 10230,
    QIOT_SEND_SUCC_INFO = 10240,
    QIOT_SEND_SUCC_NTP = 10250,
    QIOT_SEND_ERR_TRANS = 10300,
    QIOT_SEND_ERR_PHYMODEL = 10310,
    QIOT_SEND_ERR_FAIL_LOC = 10320,
    QIOT_SEND_ERR_STATE = 10330,
    QIOT_SEND_ERR_INFO = 10340,
    QIOT_SEND_ERR_NTP = 10350,
}

/// Code of QIOT_ATEVENT_TYPE_RECV.
pub type QIot_recvCode_e = qint32_t;

/// Values of QIot_recvCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_recvCode_e_values {
    QIOT_RECV_SUCC_TRANS = 10200,
    QIOT_RECV_SUCC_PHYMODEL_RECV = 10210,
    QIOT_RECV_SUCC_PHYMODEL_REQ = 10211,
    QIOT_RECV_SUCC_PHYMODEL_SERVER = 10212,
    QIOT_RECV_SUCC_SUB_STATE_REQ = 10220,
    QIOT_RECV_SUCC_SUB_INFO_REQ = 10230,
    QIOT_RECV_ERR_LIMIT = 10428,
    QIOT_RECV_ERR_BUFFER = 10473,
}

/// Code of QIOT_ATEVENT_TYPE_LOGOUT.
pub type QIot_logoutCode_e = qint32_t;

/// Values of QIot_logoutCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_logoutCode_e_values {
    QIOT_LOGOUT_SUCC = 10200,
}

/// Code of QIOT_ATEVENT_TYPE_SERVER.
pub type QIot_serverCode_e = qint32_t;

/// Values of QIot_serverCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_serverCode_e_values {
    QIOT_SERVER_ERRCODE_RATE_LIMIT = 10428,
    QIOT_SERVER_ERRCODE_QUANTITY_LIMIT = 10429,
}

/// Connection mode. AUTO is for AT firmware and refused here.
pub type QIot_connMode_e = qint32_t;

/// Values of QIot_connMode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_connMode_e_values {
    QIOT_CONNMODE_IDLE = 0,
    QIOT_CONNMODE_REQ = 1,
    QIOT_CONNMODE_AUTO = 2,
}

/// Protocol to the platform. Only MQTT is accepted.
pub type QIot_protocolType_t = qint32_t;

/// Values of QIot_protocolType_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_protocolType_t_values {
    QIOT_PPROTOCOL_COAP = 0,
    QIOT_PPROTOCOL_MQTT = 1,
}

/// State of the session with the platform.
pub type QIot_state_e = qint32_t;

/// Values of QIot_state_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_state_e_values {
    QIOT_STATE_UNINITIALIZE = 0,
    QIOT_STATE_INITIALIZED = 1,
    QIOT_STATE_AUTHENTICATING = 2,
    QIOT_STATE_AUTHENTICATED = 3,
    QIOT_STATE_AUTHENTICATE_FAILED = 4,
    QIOT_STATE_CONNECTING = 5,
    QIOT_STATE_CONNECTED = 6,
    QIOT_STATE_CONNECT_FAIL = 7,
    QIOT_STATE_SUBSCRIBED = 8,
    QIOT_STATE_SUBSCRIBE_FAIL = 9,
    QIOT_STATE_DISCONNECTING = 10,
    QIOT_STATE_DISCONNECTED = 11,
    QIOT_STATE_DISCONNECT_FAIL = 12,
}

/// Type of a value in a TTLV list.
pub type QIot_dpDataType_e = qint32_t;

/// Values of QIot_dpDataType_e. BYTE and TEXT are one; RAW is of later SDKs.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dpDataType_e_values {
    QIOT_DPDATA_TYPE_BOOL = 0,
    QIOT_DPDATA_TYPE_INT = 1,
    QIOT_DPDATA_TYPE_FLOAT = 2,
    QIOT_DPDATA_TYPE_BYTE = 3,
    QIOT_DPDATA_TYPE_STRUCT = 4,
    QIOT_DPDATA_TYPE_RAW = 5,
}

/// Ids of status values.
pub type QIot_dpIdStatus_e = qint32_t;

/// Values of QIot_dpIdStatus_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dpIdStatus_e_values {
    QIOT_DPID_STATUS_BATTERY = 1,
    QIOT_DPID_STATUS_VOLTAGE = 2,
    QIOT_DPID_STATUS_SIGNAL = 3,
    QIOT_DPID_STATUS_FLASHFREE = 4,
    QIOT_DPID_STATUS_RSRP = 5,
    QIOT_DPID_STATUS_RSRQ = 6,
    QIOT_DPID_STATUS_SNR = 7,
    QIOT_DPID_STATUS_MAX = 8,
}

/// Ids of info values.
pub type QIot_dpIdInfo_e = qint32_t;

/// Values of QIot_dpIdInfo_e (SDK 2.9, and the ids of later ones).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dpIdInfo_e_2_9_values {
    QIOT_DPID_INFO_MODEL_TYPE = 1,
    QIOT_DPID_INFO_MODEL_VER = 2,
    QIOT_DPID_INFO_MCU_VER = 3,
    QIOT_DPID_INFO_CELLID = 4,
    QIOT_DPID_INFO_ICCID = 5,
    QIOT_DPID_INFO_MCC = 6,
    QIOT_DPID_INFO_MNC = 7,
    QIOT_DPID_INFO_LAC = 8,
    QIOT_DPID_INFO_PHONE_NUM = 9,
    QIOT_DPID_INFO_SIM_NUM = 10,
    QIOT_DPID_INFO_SDK_VER = 11,
    QIOT_DPID_INFO_LOC_SUPLIST = 12,
    QIOT_DPIO_INFO_DP_VER = 13,
    QIOT_DPIO_INFO_CP_VER = 14,
    QIOT_DPID_INFO_LOG_DURATION = 16,
    QIOT_DPID_INFO_LOG_LEVEL = 17,
    QIOT_DPIO_INFO_MODULE_ID = 18,
    QIOT_DPID_INFO_MAX = 15,
}

/// Values of QIot_dpIdInfo_e (later SDKs).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dpIdInfo_e_2_10_values {
    QIOT_DPID_INFO_MODEL_TYPE = 1,
    QIOT_DPID_INFO_MODEL_VER = 2,
    QIOT_DPID_INFO_MCU_VER = 3,
    QIOT_DPID_INFO_CELLID = 4,
    QIOT_DPID_INFO_ICCID = 5,
    QIOT_DPID_INFO_MCC = 6,
    QIOT_DPID_INFO_MNC = 7,
    QIOT_DPID_INFO_LAC = 8,
    QIOT_DPID_INFO_PHONE_NUM = 9,
    QIOT_DPID_INFO_SIM_NUM = 10,
    QIOT_DPID_INFO_SDK_VER = 11,
    QIOT_DPID_INFO_LOC_SUPLIST = 12,
    QIOT_DPIO_INFO_DP_VER = 13,
    QIOT_DPIO_INFO_CP_VER = 14,
    QIOT_DPID_INFO_LOG_DURATION = 16,
    QIOT_DPID_INFO_LOG_LEVEL = 17,
    QIOT_DPIO_INFO_MODULE_ID = 18,
    QIOT_DPID_INFO_MAX = 19,
}

/// Families of commands.
pub type QIot_dpCmdType_e = qint32_t;

/// Values of QIot_dpCmdType_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dpCmdType_e_values {
    QIOT_DPCMD_TYPE_SYS = 0,
    QIOT_DPCMD_TYPE_BUS = 1,
    QIOT_DPCMD_TYPE_OTA = 2,
    QIOT_DPCMD_TYPE_LAN = 3,
}

/// Whom a command is for; bits.
pub type QIot_dpAppType_e = quint32_t;

/// Values of QIot_dpAppType_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dpAppType_e_values {
    QIOT_DPAPP_M2M = 1,
    QIOT_DPAPP_SUBDEV = 2,
    QIOT_DPAPP_LANPHONE = 4,
}

/// Parity of a serial port.
pub type QIot_MBParity_e = qint32_t;

/// Values of QIot_MBParity_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_MBParity_e_values {
    QIOT_MBUART_PARITY_NONE = 0,
    QIOT_MBUART_PARITY_EVEN = 1,
    QIOT_MBUART_PARITY_ODD = 2,
    QIOT_MBUART_PARITY_MARK = 3,
    QIOT_MBUART_PARITY_SPACE = 4,
}

/// Data bits of a serial port.
pub type QIot_MBDataBits_e = qint32_t;

/// Values of QIot_MBDataBits_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_MBDataBits_e_values {
    QIOT_MBUART_DATABITS_5 = 0,
    QIOT_MBUART_DATABITS_6 = 1,
    QIOT_MBUART_DATABITS_7 = 2,
    QIOT_MBUART_DATABITS_8 = 3,
}

/// Stop bits of a serial port.
pub type QIot_MBStopBits_e = qint32_t;

/// Values of QIot_MBStopBits_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_MBStopBits_e_values {
    QIOT_MBUART_STOPBITS_1 = 0,
    QIOT_MBUART_STOPBITS_1_5 = 1,
    QIOT_MBUART_STOPBITS_2 = 2,
}

/// How sub-devices authenticate.
pub type QIot_subDevAuth_e = quint8_t;

/// Values of QIot_subDevAuth_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_subDevAuth_e_values {
    QIOT_SUBDEVAUTH_NONE = 0,
    QIOT_SUBDEVAUTH_PRODUCT_KEY = 1,
    QIOT_SUBDEVAUTH_PROJECT_ID = 2,
}

/// How sub-devices connect.
pub type QIot_subDevConn_e = quint8_t;

/// Values of QIot_subDevConn_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_subDevConn_e_values {
    QIOT_SUBDEV_CONN_TCP = 0,
    QIOT_SUBDEV_CONN_UDP = 1,
}

/// Code of QIOT_ATECENT_TYPE_DATACOLL.
pub type QIot_dataCollCode_e = qint32_t;

/// Values of QIot_dataCollCode_e.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QIot_dataCollCode_e_values {
    QIOT_DATA_COLL_SEND_SUCCESS = 0,
    QIOT_DATA_COLL_SEND_FAIL = 1,
    QIOT_DATA_COLL_DELAYTIME = 2,
    QIOT_DATA_COLL_SEND_RETRY = 3,
    QIOT_DATA_COLL_CONN_FAIL = 10,
    QIOT_DATA_COLL_TRANS_FAIL = 11,
    QIOT_DATA_COLL_DISENBLE = 12,
    QIOT_DATA_COLL_CONN_RETRY = 13,
    QIOT_DATA_COLL_CLOSE = 20,
}
