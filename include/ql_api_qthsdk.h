/*
 * quecota: the drop-in API for applications written for ql_api_qthsdk.h of the QuecThing device SDK, from 2.10.
 *
 * Made from the Rust sources by build.rs; do not edit. `cargo xtask headers` renews it.
 *
 * One device for the process, on the platform of quecota_default_platform(); see quecota.h. Every function but
 * Ql_iotConfigSetEventCB() refuses before Ql_iotInit(), by FALSE, 0 or NULL. Strings that a getter hands out live in
 * the library, are not to be freed, and may change with the next call.
 *
 * Messages of the platform (event 5) have a value that lives until the callback returns: 10200 bytes; 10210 a TTLV list,
 * valLen 0; 10211 quint16_t [packet id, id, id ...], valLen the number of ids, to be answered by Ql_iotCmdBusPhymodelAck().
 * docs/migrate.md says which functions work, send a frame, or refuse.
 */

#ifndef QL_API_QTHSDK_H
#define QL_API_QTHSDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The version of quecota that this header belongs to. */
#define QUECOTA_VERSION_MAJOR 0
#define QUECOTA_VERSION_MINOR 1
#define QUECOTA_VERSION_PATCH 0
#define QUECOTA_VERSION "0.1.0"

#ifdef QL_IOTAPI_H
#error "include Ql_iotApi.h or ql_api_qthsdk.h, not both: they differ in qbool and in events"
#endif

/* Types. By hand: quint32_t is unsigned int everywhere, where uint32_t may be unsigned long. */
#ifndef quint8_t
typedef unsigned char quint8_t;
#endif
#ifndef qint8_t
typedef char qint8_t;
#endif
#ifndef quint16_t
typedef unsigned short quint16_t;
#endif
#ifndef qint16_t
typedef short qint16_t;
#endif
#ifndef quint32_t
typedef unsigned int quint32_t;
#endif
#ifndef qint32_t
typedef int qint32_t;
#endif
/* C90 and C++98 have no long long; compilers do. */
#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wlong-long"
#endif
#ifndef quint64_t
typedef unsigned long long quint64_t;
#endif
#ifndef qint64_t
typedef long long qint64_t;
#endif
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
#ifndef pointer_t
typedef unsigned long int pointer_t;
#endif
typedef bool qbool;

/* No macros: an application may define its own TRUE, FALSE and HAL_STRLEN, before this header or after it. */
#ifndef TRUE
enum { TRUE = 1 };
#endif
#ifndef FALSE
enum { FALSE = 0 };
#endif
#ifndef HAL_STRLEN
/* Length of a string; 0 for NULL. */
#ifdef __cplusplus
inline
#elif defined(__GNUC__)
static __inline__
#elif defined(__STDC_VERSION__)
static inline
#else
static
#endif
quint32_t HAL_STRLEN(const void *text)
{
#ifdef __cplusplus
    return text ? static_cast<quint32_t>(strlen(static_cast<const char *>(text))) : 0;
#else
    return text ? (quint32_t)strlen((const char *)text) : 0;
#endif
}
#endif

/* Applications of this generation expect its events. */
#define Ql_iotInit Ql_iotInit_2_10

/* Second names of values, as later SDKs have them. */
#define QIOT_DPDATA_TYPE_TEXT QIOT_DPDATA_TYPE_BYTE
#define QIOT_AUTH_ERR_DMP_STATIC_DEV QIOT_AUTH_ERR_STATIC_DEV
#define QIOT_SUB_DEV_ERR_NO_ASSOCIATION 10440
#define QIOT_SUB_DEV_ERR_No_ASSOCIATION 10440
#define QIOT_SUB_DEV_ERR_ALREADY_CONN 10441
#define QIOT_CONN_SUBDEV_ERR_ALREADY 10441
#define QIOT_SUB_DEV_ERR_UNLOGIN 10442
#define QIOT_SERVER_ERRCODE_SUBDEV_UNLOGIN 10442

/** Connection mode. AUTO is for AT firmware and refused here. */
typedef qint32_t QIot_connMode_e;

/** Values of QIot_connMode_e. */
enum {
    QIOT_CONNMODE_IDLE = 0,
    QIOT_CONNMODE_REQ = 1,
    QIOT_CONNMODE_AUTO = 2
};

/** Protocol to the platform. Only MQTT is accepted. */
typedef qint32_t QIot_protocolType_t;

/** Values of QIot_protocolType_t. */
enum {
    QIOT_PPROTOCOL_COAP = 0,
    QIOT_PPROTOCOL_MQTT = 1
};

/** State of the session with the platform. */
typedef qint32_t QIot_state_e;

/** Values of QIot_state_e. */
enum {
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
    QIOT_STATE_DISCONNECT_FAIL = 12
};

/** Type of a value in a TTLV list. */
typedef qint32_t QIot_dpDataType_e;

/** Values of QIot_dpDataType_e. BYTE and TEXT are one; RAW is of later SDKs. */
enum {
    QIOT_DPDATA_TYPE_BOOL = 0,
    QIOT_DPDATA_TYPE_INT = 1,
    QIOT_DPDATA_TYPE_FLOAT = 2,
    QIOT_DPDATA_TYPE_BYTE = 3,
    QIOT_DPDATA_TYPE_STRUCT = 4,
    QIOT_DPDATA_TYPE_RAW = 5
};

/** Sends bytes to a serial port. */
typedef qbool (*QIot_MBSend_f)(quint16_t port, const quint8_t *buf, quint32_t bufLen);

/** Data bits of a serial port. */
typedef qint32_t QIot_MBDataBits_e;

/** Values of QIot_MBDataBits_e. */
enum {
    QIOT_MBUART_DATABITS_5 = 0,
    QIOT_MBUART_DATABITS_6 = 1,
    QIOT_MBUART_DATABITS_7 = 2,
    QIOT_MBUART_DATABITS_8 = 3
};

/** Parity of a serial port. */
typedef qint32_t QIot_MBParity_e;

/** Values of QIot_MBParity_e. */
enum {
    QIOT_MBUART_PARITY_NONE = 0,
    QIOT_MBUART_PARITY_EVEN = 1,
    QIOT_MBUART_PARITY_ODD = 2,
    QIOT_MBUART_PARITY_MARK = 3,
    QIOT_MBUART_PARITY_SPACE = 4
};

/** Stop bits of a serial port. */
typedef qint32_t QIot_MBStopBits_e;

/** Values of QIot_MBStopBits_e. */
enum {
    QIOT_MBUART_STOPBITS_1 = 0,
    QIOT_MBUART_STOPBITS_1_5 = 1,
    QIOT_MBUART_STOPBITS_2 = 2
};

/** A serial port of a Modbus gateway. */
typedef struct {
    /** Its number. */
    quint16_t port;
    /** Bits per second. */
    quint32_t baudrate;
    /** QIOT_MBUART_DATABITS_*. */
    QIot_MBDataBits_e dataBits;
    /** QIOT_MBUART_PARITY_*. */
    QIot_MBParity_e parity;
    /** QIOT_MBUART_STOPBITS_*. */
    QIot_MBStopBits_e stopBits;
} QIot_MBPortCfg_t;

/** Says what a Modbus configuration holds. */
typedef void (*QIot_MBInitCb_f)(char *pk, char *ps, QIot_MBPortCfg_t **portInfo, quint32_t portNum);

/** First argument of the event callback. */
typedef qint32_t QIot_atEventType_e;

/** Values of QIot_atEventType_e (SDK 2.10). */
enum {
    QIOT_ATEVENT_TYPE_AUTH = 1,
    QIOT_ATEVENT_TYPE_CONN = 2,
    QIOT_ATEVENT_TYPE_SUBCRIBE = 3,
    QIOT_ATEVENT_TYPE_SEND = 4,
    QIOT_ATEVENT_TYPE_RECV = 5,
    QIOT_ATEVENT_TYPE_LOGOUT = 6,
    QIOT_ATEVENT_TYPE_OTA = 7,
    QIOT_ATEVENT_TYPE_SERVER = 8,
    QIOT_ATEVENT_TYPE_UNAUTH = 10,
    QIOT_ATECENT_TYPE_DATACOLL = 30
};

/** Code of QIOT_ATEVENT_TYPE_OTA. */
typedef qint32_t QIot_otaCode_e;

/** Values of QIot_otaCode_e. */
enum {
    QIOT_OTA_TASK_NOTIFY = 10700,
    QIOT_OTA_START = 10701,
    QIOT_OTA_DOWNLOADING = 10702,
    QIOT_OTA_DOWNLOADED = 10703,
    QIOT_OTA_UPDATING = 10704,
    QIOT_OTA_UPDATE_OK = 10705,
    QIOT_OTA_UPDATE_FAIL = 10706,
    QIOT_OTA_UPDATE_FLAG = 10707
};

/** Code of QIOT_ATEVENT_TYPE_AUTH. */
typedef qint32_t QIot_authCode_e;

/** Values of QIot_authCode_e. */
enum {
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
    QIOT_AUTH_ERR_FAIL = 10500
};

/** Code of QIOT_ATEVENT_TYPE_CONN. */
typedef qint32_t QIot_connCode_e;

/** Values of QIot_connCode_e (SDK 2.10). */
enum {
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
    QIOT_CONN_ERR_UNKNOW = 10500
};

/** Code of QIOT_ATEVENT_TYPE_SUBCRIBE. */
typedef qint32_t QIot_subcribeCode_e;

/** Values of QIot_subcribeCode_e. */
enum {
    QIOT_SUBCRIBE_SUCC = 10200,
    QIOT_SUBCRIBE_ERR = 10300
};

/** Code of QIOT_ATEVENT_TYPE_SEND. */
typedef qint32_t QIot_sendCode_e;

/** Values of QIot_sendCode_e. */
enum {
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
    QIOT_SEND_ERR_NTP = 10350
};

/** Code of QIOT_ATEVENT_TYPE_RECV. */
typedef qint32_t QIot_recvCode_e;

/** Values of QIot_recvCode_e. */
enum {
    QIOT_RECV_SUCC_TRANS = 10200,
    QIOT_RECV_SUCC_PHYMODEL_RECV = 10210,
    QIOT_RECV_SUCC_PHYMODEL_REQ = 10211,
    QIOT_RECV_SUCC_PHYMODEL_SERVER = 10212,
    QIOT_RECV_SUCC_SUB_STATE_REQ = 10220,
    QIOT_RECV_SUCC_SUB_INFO_REQ = 10230,
    QIOT_RECV_ERR_LIMIT = 10428,
    QIOT_RECV_ERR_BUFFER = 10473
};

/** Code of QIOT_ATEVENT_TYPE_LOGOUT. */
typedef qint32_t QIot_logoutCode_e;

/** Values of QIot_logoutCode_e. */
enum {
    QIOT_LOGOUT_SUCC = 10200
};

/** Code of QIOT_ATEVENT_TYPE_SERVER. */
typedef qint32_t QIot_serverCode_e;

/** Values of QIot_serverCode_e. */
enum {
    QIOT_SERVER_ERRCODE_RATE_LIMIT = 10428,
    QIOT_SERVER_ERRCODE_QUANTITY_LIMIT = 10429
};

/** Ids of status values. */
typedef qint32_t QIot_dpIdStatus_e;

/** Values of QIot_dpIdStatus_e. */
enum {
    QIOT_DPID_STATUS_BATTERY = 1,
    QIOT_DPID_STATUS_VOLTAGE = 2,
    QIOT_DPID_STATUS_SIGNAL = 3,
    QIOT_DPID_STATUS_FLASHFREE = 4,
    QIOT_DPID_STATUS_RSRP = 5,
    QIOT_DPID_STATUS_RSRQ = 6,
    QIOT_DPID_STATUS_SNR = 7,
    QIOT_DPID_STATUS_MAX = 8
};

/** Ids of info values. */
typedef qint32_t QIot_dpIdInfo_e;

/** Values of QIot_dpIdInfo_e (later SDKs). */
enum {
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
    QIOT_DPID_INFO_MAX = 19
};

/** Families of commands. */
typedef qint32_t QIot_dpCmdType_e;

/** Values of QIot_dpCmdType_e. */
enum {
    QIOT_DPCMD_TYPE_SYS = 0,
    QIOT_DPCMD_TYPE_BUS = 1,
    QIOT_DPCMD_TYPE_OTA = 2,
    QIOT_DPCMD_TYPE_LAN = 3
};

/** Whom a command is for; bits. */
typedef quint32_t QIot_dpAppType_e;

/** Values of QIot_dpAppType_e. */
enum {
    QIOT_DPAPP_M2M = 1,
    QIOT_DPAPP_SUBDEV = 2,
    QIOT_DPAPP_LANPHONE = 4
};

/** How sub-devices authenticate. */
typedef quint8_t QIot_subDevAuth_e;

/** Values of QIot_subDevAuth_e. */
enum {
    QIOT_SUBDEVAUTH_NONE = 0,
    QIOT_SUBDEVAUTH_PRODUCT_KEY = 1,
    QIOT_SUBDEVAUTH_PROJECT_ID = 2
};

/** How sub-devices connect. */
typedef quint8_t QIot_subDevConn_e;

/** Values of QIot_subDevConn_e. */
enum {
    QIOT_SUBDEV_CONN_TCP = 0,
    QIOT_SUBDEV_CONN_UDP = 1
};

/** Code of QIOT_ATECENT_TYPE_DATACOLL. */
typedef qint32_t QIot_dataCollCode_e;

/** Values of QIot_dataCollCode_e. */
enum {
    QIOT_DATA_COLL_SEND_SUCCESS = 0,
    QIOT_DATA_COLL_SEND_FAIL = 1,
    QIOT_DATA_COLL_DELAYTIME = 2,
    QIOT_DATA_COLL_SEND_RETRY = 3,
    QIOT_DATA_COLL_CONN_FAIL = 10,
    QIOT_DATA_COLL_TRANS_FAIL = 11,
    QIOT_DATA_COLL_DISENBLE = 12,
    QIOT_DATA_COLL_CONN_RETRY = 13,
    QIOT_DATA_COLL_CLOSE = 20
};

#ifdef __cplusplus
extern "C" {
#endif

/** Ql_iotInit() for applications of SDK 2.10 and later: the header ql_api_qthsdk.h maps the name. */
qbool Ql_iotInit_2_10(void);

/** Sets the one receiver of events; NULL: events vanish from now on. Called before Ql_iotInit, it holds from then on. */
void Ql_iotConfigSetEventCB(void (*eventCb)(quint32_t event,
                                            qint32_t errcode,
                                            const void *value,
                                            quint32_t valLen));

/**
 * IDLE disconnects, REQ connects. TRUE without effect when it is the mode already; FALSE for AUTO and others, and for
 * REQ without product key, product secret or server.
 */
qbool Ql_iotConfigSetConnmode(QIot_connMode_e mode);

/** The mode that was set. */
QIot_connMode_e Ql_iotConfigGetConnmode(void);

/**
 * Product key and secret. FALSE unless idle, and for NULL or empty strings. Strings of more than 32 characters: TRUE,
 * but nothing is set. A change forgets the device secret.
 */
qbool Ql_iotConfigSetProductinfo(const char *pk,
                                 const char *ps);

/**
 * Where product key, secret and the version of the authentication are found; NULL places are left out. FALSE and
 * NULL pointers before Ql_iotInit.
 */
qbool Ql_iotConfigGetProductinfo(char **pk,
                                 char **ps,
                                 char **ver);

/**
 * The platform's address, below 64 characters; MQTT only; FALSE unless idle. A change forgets the device secret. The
 * old HTTP addresses of the vendor's platform become its MQTT ones.
 */
qbool Ql_iotConfigSetServer(QIot_protocolType_t type,
                            const char *server_url);

/** Where the protocol and the address in force are found; NULL places are left out. */
void Ql_iotConfigGetServer(QIot_protocolType_t *type, char **server_url);

/** Keep-alive, 1..65535 s; FALSE unless idle. (The wire has 21 s at least.) */
qbool Ql_iotConfigSetLifetime(quint32_t lifetime);

/** The keep-alive that was set, in seconds. */
quint32_t Ql_iotConfigGetLifetime(void);

/** The PDP context, 1..15; FALSE unless idle. Kept for ports that have several; this library itself has no use for it. */
qbool Ql_iotConfigSetPdpContextId(quint8_t contextID);

/** The PDP context; 1 unless it was set. */
quint8_t Ql_iotConfigGetPdpContextId(void);

/** Whether payloads are to be encrypted; FALSE unless idle. */
qbool Ql_iotConfigSetSessionFlag(qbool flag);

/** Whether payloads are to be encrypted. */
qbool Ql_iotConfigGetSessionFlag(void);

/** Text behind the module's firmware version, without a separator; NULL: none any more. */
qbool Ql_iotConfigSetAppVersion(const char *appVer);

/** The software version: the module's with the application's behind it. NULL before Ql_iotInit. */
char *Ql_iotConfigGetSoftVersion(void);

/**
 * The version of an MCU component (1..32 characters): 0..64 characters, an empty one deletes the component. During an
 * upgrade of that component it decides whether that succeeded.
 */
qbool Ql_iotConfigSetMcuVersion(const char *compno,
                                const char *version);

/**
 * Where the version of a component is found, and its length: no NUL ends it. `compno` NULL: the whole list,
 * `name:version;name:version`, and its length. An unknown component: (quint32_t)-1. `version` NULL: 0.
 */
quint32_t Ql_iotConfigGetMcuVersion(const char *compno, char **version);

/** The state of the session; UNINITIALIZE before Ql_iotInit. */
QIot_state_e Ql_iotGetWorkState(void);

/**
 * A device key of the application's own (at most 16 letters and digits) and its secret (at most 32). An empty key:
 * the hardware id again. FALSE for the hardware id itself, and unless idle.
 */
qbool Ql_iotConfigSetDkDs(const char *dk,
                          const char *ds);

/** Where device key and secret in force are found; NULL places are left out. */
qbool Ql_iotConfigGetDkDs(char **dk, char **ds);

/**
 * Asks the platform for an upgrade plan. Mode 0: as it is; 1: the SHA-256 is wanted, too. FALSE when offline, and for
 * any other mode, for which nothing is sent.
 */
qbool Ql_iotCmdOtaRequest(quint32_t mode);

/**
 * 0 refuses the plan, 1 confirms it, 2 fetches the next piece, 3 says that the MCU is updating. FALSE when the state
 * does not allow it. May be called inside the event callback.
 */
qbool Ql_iotCmdOtaAction(quint8_t action);

/**
 * Reads up to `maxLen` bytes of the staged piece from `startAddr`, which counts from the start of the whole file.
 * Returns the bytes read; 0: an error.
 */
quint32_t Ql_iotCmdOtaMcuFWDataRead(quint32_t startAddr,
                                    quint8_t *data,
                                    quint32_t maxLen);

/**
 * The number of elements; 0 for NULL and for what is no list.
 *
 * Rules of all Ql_iotTtlv functions: a list is made by the first Ql_iotTtlvIdAdd* on a `void *` that is NULL, and ends
 * with Ql_iotTtlvFree(). Handles that are NULL, freed or no handles at all are refused. Before Ql_iotInit() only one
 * task may use them; from then on every task, and the event callback, but not a function of the platform table.
 */
quint32_t Ql_iotTtlvCountGet(const void *ttlvHead);

/**
 * Frees the list at `*ttlvHead` with all that is in it, and writes NULL there. The list of an event lives until the
 * callback returns, and one that was added to another belongs to that: of those only the pointer becomes NULL.
 */
void Ql_iotTtlvFree(void **ttlvHead);

/**
 * Removes the elements with this id (0: all of an array). A list that has none left is freed, and `*ttlvHead` is NULL
 * then.
 */
void Ql_iotTtlvRemove(void **ttlvHead,
                      quint16_t id);

/**
 * Adds a bool. `id` is 1..8191, or 0 for an element of an array; a list has only ids or only array elements. FALSE: the
 * id, the handle or the memory is wrong, and nothing has changed.
 */
qbool Ql_iotTtlvIdAddBool(void **ttlvHead,
                          quint16_t id,
                          qbool value);

/** Adds a whole number; see Ql_iotTtlvIdAddBool(). */
qbool Ql_iotTtlvIdAddInt(void **ttlvHead, quint16_t id, qint64_t num);

/**
 * Adds a number with up to 15 decimals, as few as give the same number back. FALSE also for NaN, for infinity and from
 * 2^64 on. On the wire a whole number is an INT.
 */
qbool Ql_iotTtlvIdAddFloat(void **ttlvHead,
                           quint16_t id,
                           double num);

/** Adds a number rounded to `decimals` (0..15) decimals; see Ql_iotTtlvIdAddFloat(). */
qbool Ql_iotTtlvIdAddFloat_ex(void **ttlvHead, quint16_t id, double num, quint8_t decimals);

/** Adds bytes, at most 65535; see Ql_iotTtlvIdAddBool(). They are copied. */
qbool Ql_iotTtlvIdAddByte(void **ttlvHead, quint16_t id, const quint8_t *data, quint32_t len);

/** Adds raw data, at most 65535 bytes. Nothing is known of its own type on the wire: it goes out as bytes. */
qbool Ql_iotTtlvIdAddRaw(void **ttlvHead, quint16_t id, const quint8_t *data, quint32_t len);

/** Adds a text of at most 2048 bytes in any encoding; see Ql_iotTtlvIdAddBool(). It is copied. NULL: FALSE. */
qbool Ql_iotTtlvIdAddString(void **ttlvHead, quint16_t id, const char *data);

/**
 * Adds a list as a struct, or as an array if its elements have id 0. On TRUE `vHead` belongs to the other list and is
 * freed with it; it may still be added to. On FALSE it is the caller's as before: `vHead` is no list, is another's or
 * contains the other list already, or the lists would be nested more than 8 deep.
 */
qbool Ql_iotTtlvIdAddStruct(void **ttlvHead,
                            quint16_t id,
                            void *vHead);

/**
 * The element at `index`, from 0, with its id and type (NULL places are left out). NULL: there is none. The node lives as
 * long as its list.
 */
void *Ql_iotTtlvNodeGet(const void *ttlvHead,
                        quint16_t index,
                        quint16_t *id,
                        QIot_dpDataType_e *type);

/** The bool of a node. FALSE: it has none. */
qbool Ql_iotTtlvNodeGetBool(const void *node, qbool *value);

/** The whole number of a node. FALSE: it has none, or one with decimals or beyond a qint64_t. */
qbool Ql_iotTtlvNodeGetInt(const void *node, qint64_t *value);

/** The number of a node, whole or not. FALSE: it has none. */
qbool Ql_iotTtlvNodeGetFloat(const void *node, double *value);

/**
 * Where the bytes or the text of a node are, and how many. They are the list's, with a NUL behind them. 0 and NULL: it
 * has none.
 */
quint32_t Ql_iotTtlvNodeGetByte(const void *node,
                                quint8_t **value);

/** As Ql_iotTtlvNodeGetByte(). */
quint32_t Ql_iotTtlvNodeGetRaw(const void *node, quint8_t **value);

/** The text of a node, which is the list's. NULL: it has none. */
char *Ql_iotTtlvNodeGetString(const void *node);

/** The struct or array of a node, which is the list's. NULL: it has none. */
void *Ql_iotTtlvNodeGetStruct(const void *node);

/** The type of a node. FALSE: it is no node. */
qbool Ql_iotTtlvNodeGetType(const void *node, QIot_dpDataType_e *type);

/** The bool of the first element with this id. FALSE: there is none. */
qbool Ql_iotTtlvIdGetBool(const void *ttlvHead, quint16_t id, qbool *value);

/** The whole number of the first element with this id; see Ql_iotTtlvNodeGetInt(). */
qbool Ql_iotTtlvIdGetInt(const void *ttlvHead, quint16_t id, qint64_t *value);

/** The number of the first element with this id; see Ql_iotTtlvNodeGetFloat(). */
qbool Ql_iotTtlvIdGetFloat(const void *ttlvHead, quint16_t id, double *value);

/** The bytes of the first element with this id; see Ql_iotTtlvNodeGetByte(). */
quint32_t Ql_iotTtlvIdGetByte(const void *ttlvHead, quint16_t id, quint8_t **value);

/** As Ql_iotTtlvIdGetByte(). */
quint32_t Ql_iotTtlvIdGetRaw(const void *ttlvHead, quint16_t id, quint8_t **value);

/** The text of the first element with this id; see Ql_iotTtlvNodeGetString(). */
char *Ql_iotTtlvIdGetString(const void *ttlvHead, quint16_t id);

/** The struct or array of the first element with this id; see Ql_iotTtlvNodeGetStruct(). */
void *Ql_iotTtlvIdGetStruct(const void *ttlvHead, quint16_t id);

/** The type of the first element with this id. FALSE: there is none. */
qbool Ql_iotTtlvIdGetType(const void *ttlvHead, quint16_t id, QIot_dpDataType_e *type);

/**
 * Sends bytes to the platform (0x0024). `mode` is the QoS, 0..2. TRUE: accepted; event 4 with code 10200 (sent) or 10300
 * (not) follows. FALSE, with a log line: offline, longer than a frame of 2 KB, or 4 KB wait already.
 */
qbool Ql_iotCmdBusPassTransSend(quint16_t mode,
                                quint8_t *payload,
                                quint32_t len);

/** As Ql_iotCmdBusPassTransSend(); returns the packet id, which comes back as the value of event 4 (a quint32_t), or -1. */
qint32_t Ql_iotCmdBusPassTransSend_ex(quint16_t mode,
                                      quint8_t *payload,
                                      quint32_t len);

/**
 * Sends a TTLV list to the platform (0x0014); see Ql_iotCmdBusPassTransSend(). Event 4 has code 10210 or 10310. The list
 * stays the caller's.
 */
qbool Ql_iotCmdBusPhymodelReport(quint16_t mode,
                                 const void *ttlvHead);

/** As Ql_iotCmdBusPhymodelReport(); returns the packet id or -1. */
qint32_t Ql_iotCmdBusPhymodelReport_ex(quint16_t mode, const void *ttlvHead);

/**
 * Answers the platform's question for values (event 5, code 10211): `pkgId` is the first number of its value. See
 * Ql_iotCmdBusPhymodelReport().
 */
qbool Ql_iotCmdBusPhymodelAck(quint16_t mode,
                              quint16_t pkgId,
                              const void *ttlvHead);

/**
 * Reports status values (QIOT_DPID_STATUS_*, 1 to 32 ids) to the platform (0x0034, QoS 1), as they are when the report goes
 * out. Ids without a value are left out; FALSE when none is left, or offline. Event 4 with code 10230 or 10330 follows.
 */
qbool Ql_iotCmdSysStatusReport(quint16_t *ids,
                               quint32_t size);

/**
 * Reports info values (QIOT_DPID_INFO_*, 1 to 32 ids) to the platform (0x0044, QoS 1); see Ql_iotCmdSysStatusReport().
 * Event 4 has code 10240 or 10340.
 */
qbool Ql_iotCmdSysDevInfoReport(quint16_t *ids,
                                quint32_t size);

/**
 * Status values as a TTLV list, to be freed by Ql_iotTtlvFree(). Ids without a value are left out; NULL when none is
 * left.
 */
void *Ql_iotSysGetDevStatus(quint16_t *ids,
                            quint32_t size);

/** Info values as a TTLV list; see Ql_iotSysGetDevStatus(). */
void *Ql_iotSysGetDevInfo(quint16_t *ids, quint32_t size);

/**
 * Forgets what the platform has given, device secret and server, and authenticates anew if the device was to be
 * connected.
 */
qbool Ql_iotRst(void);

/**
 * Disconnects and forgets all that was configured but the MCU versions: product, server, device key and secret,
 * lifetime, encryption.
 */
qbool Ql_iotClear(void);

/** Refused: neither the command of the time request nor that of its answer is known. */
qbool Ql_iotCmdSysNTPReq(void);

/**
 * Reports where the device is (0x0122, QoS 1): `nmeaTtlv` is a TTLV list of NMEA sentences, which stays the caller's.
 * Event 4 with code 10220 or 10320 follows.
 */
qbool Ql_iotCmdBusLocReportOutside(void *nmeaTtlv);

/** As Ql_iotCmdBusLocReportOutside(); returns the packet id, which comes back as the value of event 4, or -1. */
qint32_t Ql_iotCmdBusLocReportOutside_ex(void *nmeaTtlv);

/**
 * Reports what the platform's position receiver gives (0x0122, QoS 1): the last sentence of each kind in `titleTtlv`, a
 * TTLV list of texts of Ql_iotLocGetSupList(), which stays the caller's; NULL: of all kinds. FALSE where the platform
 * table has no receiver (`position`), or no sentence now. Event 4 with code 10220 or 10320 follows.
 */
qbool Ql_iotCmdBusLocReportInside(void *titleTtlv);

/** As Ql_iotCmdBusLocReportInside(); returns the packet id, which comes back as the value of event 4, or -1. */
qint32_t Ql_iotCmdBusLocReportInside_ex(void *titleTtlv);

/**
 * The kinds of sentences that the platform's position receiver gives, as a TTLV array of texts, to be freed by
 * Ql_iotTtlvFree(); NULL where the platform table has no receiver.
 */
void *Ql_iotLocGetSupList(void);

/**
 * The last sentences of the platform's position receiver as a TTLV array of texts, to be freed by Ql_iotTtlvFree();
 * `titleTtlv` as for Ql_iotCmdBusLocReportInside(). NULL where that would return FALSE.
 */
void *Ql_iotLocGetData(const void *titleTtlv);

/**
 * Splits `src` in place at each `delim` (the whole string), writes NULs over all of the delimiter, and puts the beginnings
 * of the first `maxSize` words into `words`. Empty words count only with `keepEmptyParts`, and none stands behind a
 * delimiter at the end. Returns the number of words; 0 when a pointer is NULL or `delim` is empty.
 */
quint32_t Quos_stringSplit(char *src,
                           quint32_t srcLen,
                           char **words,
                           quint32_t maxSize,
                           const char *delim,
                           qbool keepEmptyParts);

/**
 * Takes one pair of `"` off a string: moves the text between them to the string's begin, in place. Returns `strVal`. A
 * string without such a pair stays as it is.
 */
char *Quos_stringRemoveMarks(char *strVal);

/** Has no effect: no event of a sub-device comes. */
void Ql_iotConfigSetSubDevEventCB(void (*eventCb)(quint32_t event,
                                                  qint32_t errcode,
                                                  const char *subPk,
                                                  const char *subDk,
                                                  const void *value,
                                                  quint32_t valLen));

/** Refused with FALSE. */
qbool Ql_iotConfigSetSubDevAuth(quint8_t authMode, quint8_t *authKey);

/** Refused with FALSE. */
qbool Ql_iotSubDevSetConnMode(quint8_t type, quint8_t mode);

/** Refused with FALSE. */
qbool Ql_iotSubDevConn(const char *subPk,
                       const char *subPs,
                       const char *subDk,
                       const char *subDs,
                       quint8_t sessionType,
                       quint16_t keepalive);

/** Refused with FALSE. */
qbool Ql_iotSubDevDisconn(const char *subPk, const char *subDk);

/** Refused with FALSE. */
qbool Ql_iotSubDevDeauth(const char *subPk, const char *subPs, const char *subDk, const char *subDs);

/** Refused with FALSE. */
qbool Ql_iotSubDevHTB(const char *subPk, const char *subDk);

/** Refused with FALSE. */
qbool Ql_iotSubDevPassTransSend(const char *subPk,
                                const char *subDk,
                                quint8_t *payload,
                                quint16_t payloadlen);

/** Refused with -1. */
qint32_t Ql_iotSubDevPassTransSend_ex(const char *subPk,
                                      const char *subDk,
                                      quint8_t *payload,
                                      quint16_t payloadlen);

/** Refused with FALSE. */
qbool Ql_iotSubDevTslReport(const char *subPk, const char *subDk, const void *ttlvHead);

/** Refused with -1. */
qint32_t Ql_iotSubDevTslReport_ex(const char *subPk, const char *subDk, const void *ttlvHead);

/** Refused with FALSE. */
qbool Ql_iotSubDevTslAck(const char *subPk, const char *subDk, quint16_t pkgId, const void *ttlvHead);

/** Refused with FALSE. */
qbool Ql_iotGwDevInfoReport(const char *subPk, const char *subDk, const char *subVer);

/** Refused with FALSE. */
qbool Ql_iotGwDevLocReport(const char *subPk, const char *subDk, const void *ttlvHead);

/** Refused with FALSE. */
qbool Ql_iotGwDevOtaReq(const char *subPk, const char *subDk, const char *subVer, quint8_t mode);

/** Refused with FALSE. */
qbool Ql_iotGwDevOtaUpdate(const char *subPk, const char *subDk, const char *subVer, quint8_t action);

/** Refused with -1. */
qint32_t Ql_iotGwDevOtaRead(const char *subPk,
                            const char *subDk,
                            quint32_t startAddr,
                            quint16_t size,
                            quint8_t *buff);

/** Refused with FALSE. */
qbool Ql_iotHttpOtaReq(quint8_t battery, quint8_t upmode, const char *pk, const char *ps, const char *url);

/** Gives zeros and NULL pointers: nothing is configured. */
void Ql_iotHttpOtaGet(quint8_t *battery, quint8_t *upmode, char **pk, char **ps, char **url);

/** Has no effect: no event of an HTTP OTA comes. */
void Ql_iotHttpOtaSetEventCb(void (*eventCb)(quint32_t event,
                                             qint32_t errcode,
                                             const void *value,
                                             quint32_t valLen));

/** Has no effect: no event of an HTTP OTA comes. */
void Ql_iotConfigSetHttpOtaEventCb(void (*eventCb)(quint32_t event,
                                                   qint32_t errcode,
                                                   const void *value,
                                                   quint32_t valLen));

/** Refused with FALSE. */
qbool Ql_iotConfigSetHttpOtaProductInfo(const char *pk, const char *ps);

/** Gives NULL pointers. */
void Ql_iotConfigGetHttpOtaProductInfo(char **pk, char **ps);

/** Refused with FALSE. */
qbool Ql_iotConfigSetHttpOtaTls(qbool flag);

/** FALSE. */
qbool Ql_iotConfigGetHttpOtaTls(void);

/** Refused with FALSE. */
qbool Ql_iotConfigSetHttpOtaServer(const char *server_url);

/** Gives a NULL pointer. */
void Ql_iotConfigGetHttpOtaServer(char **server_url);

/** Refused with FALSE. */
qbool Ql_iotConfigSetHttpOtaUp(quint8_t battery, quint8_t upmode, const char *url);

/** Gives zeros and a NULL pointer. */
void Ql_iotConfigGetHttpOtaUp(quint8_t *battery, quint8_t *upmode, char **url);

/** Refused with FALSE. */
qbool Ql_iotMBInit(quint16_t *uartList, quint32_t uartNum, QIot_MBSend_f sendFunc, QIot_MBInitCb_f initCb);

/** Refused with FALSE. */
qbool Ql_iotMBDeinit(void);

/** Refused with FALSE. */
qbool Ql_iotMBCloudRecv(const void *ttlvHead);

/** Refused with FALSE. */
qbool Ql_iotMBLocalRecv(quint16_t uart, quint8_t *data, quint32_t len);

/** Refused with FALSE, as SDK 2.9 does: 0x00B5 has no topic there, and its fields are not known. */
qbool Ql_iotCmdBindcodeReport(quint8_t *bindcode, quint32_t len);

/** Refused with FALSE. */
qbool Ql_iotDBindcodeSet(const char *bindcode, quint32_t timeout);

/** 0 seconds are left, and the bind code is NULL. */
quint32_t Ql_iotDBindcodeGet(char **bindcode);

/** Refused with FALSE. */
qbool Ql_iotDataCollSend(qbool lastPack, quint32_t packNum, quint16_t dataLen, quint8_t *data);

/** Refused with FALSE: Ql_iotConfigSetProductinfo() and Ql_iotConfigSetDkDs() set a device's own key and secret. */
qbool Ql_iotConfigSetAuthODOS(const char *pk,
                              const char *ps,
                              const char *dk,
                              const char *ds);

/** Refused with FALSE: TLS is by certificates. */
qbool Ql_iotConfigSetPsk(const char *psk);

/** Gives a NULL pointer. */
void Ql_iotConfigGetPsk(char **psk);

/** 0: the device authenticates with its product secret, and later with the device secret that it got. FALSE for NULL. */
qbool Ql_iotConfigGetAuth(quint32_t *authType);

#ifdef __cplusplus
}
#endif 

#endif  /* QL_API_QTHSDK_H */
