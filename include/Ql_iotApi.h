/*
 * quecota: the drop-in API for applications written for Ql_iotApi.h of the QuecThing device SDK, up to 2.9.
 *
 * Made from the Rust sources by build.rs; do not edit. `cargo xtask headers` renews it.
 *
 * One device for the process, on the platform of quecota_default_platform(); see quecota.h. Every function but
 * Ql_iotConfigSetEventCB() refuses before Ql_iotInit(), by FALSE, 0 or NULL. Strings that a getter hands out live in
 * the library, are not to be freed, and may change with the next call.
 */

#ifndef QL_IOTAPI_H
#define QL_IOTAPI_H

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

#ifdef QL_API_QTHSDK_H
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
typedef unsigned char qbool;

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

/** First argument of the event callback. */
typedef qint32_t QIot_atEventType_e;

/** Values of QIot_atEventType_e (SDK 2.9). */
enum {
    QIOT_ATEVENT_TYPE_AUTH = 1,
    QIOT_ATEVENT_TYPE_CONN = 2,
    QIOT_ATEVENT_TYPE_SUBCRIBE = 3,
    QIOT_ATEVENT_TYPE_SEND = 4,
    QIOT_ATEVENT_TYPE_RECV = 5,
    QIOT_ATEVENT_TYPE_LOGOUT = 6,
    QIOT_ATEVENT_TYPE_OTA = 7,
    QIOT_ATEVENT_TYPE_SERVER = 8,
    QIOT_ATEVENT_TYPE_UNAUTH = 9
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

/** Values of QIot_connCode_e (SDK 2.9). */
enum {
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
    QIOT_SEND_ERR_TRANS = 10300,
    QIOT_SEND_ERR_PHYMODEL = 10310,
    QIOT_SEND_ERR_FAIL_LOC = 10320,
    QIOT_SEND_ERR_STATE = 10330,
    QIOT_SEND_ERR_INFO = 10340
};

/** Code of QIOT_ATEVENT_TYPE_RECV. */
typedef qint32_t QIot_recvCode_e;

/** Values of QIot_recvCode_e. */
enum {
    QIOT_RECV_SUCC_TRANS = 10200,
    QIOT_RECV_SUCC_PHYMODEL_RECV = 10210,
    QIOT_RECV_SUCC_PHYMODEL_REQ = 10211,
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

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Loads what was stored, prepares recovery and starts the platform's task. TRUE again when it was done before. FALSE
 * when the platform cannot be used; then it may be called again.
 *
 * On Linux the device belongs to the process that called this. In a child that is forked later every call is refused,
 * this one too: a daemon forks first. The library's threads take no signals, and neither does the event callback, which
 * runs in one of them.
 */
qbool Ql_iotInit(void);

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
 * Splits `src` in place at each `delim` (the whole string), writes a NUL over the delimiter's first character, and
 * puts the beginnings of the first `maxSize` words into `words`. Empty words count only with `keepEmptyParts`. Returns
 * the number of words; 0 when a pointer is NULL or `delim` is empty.
 */
quint32_t Quos_stringSplit(char *src,
                           quint32_t srcLen,
                           char **words,
                           quint32_t maxSize,
                           const char *delim,
                           qbool keepEmptyParts);

/**
 * Takes one pair of `"` off a string, in place: returns a pointer behind the first and writes a NUL over the last. A
 * string without such a pair is returned as it is; NULL stays NULL.
 */
char *Quos_stringRemoveMarks(char *strVal);

#ifdef __cplusplus
}
#endif 

#endif  /* QL_IOTAPI_H */
