/*
 * quecota: the OTA part of the QuecThing device SDK. The native API.
 *
 * Made from the Rust sources by build.rs; do not edit. `cargo xtask headers` renews it.
 *
 * One device: memory of QUECOTA_SIZE bytes, a platform table, a config; quecota_init(), quecota_start(), then
 * quecota_poll() again and again, from one task. The platform's network code answers through quecota_on_*().
 *
 * For every function: NULL, and a device that does not live, are refused with QUECOTA_ERROR_NULL or the value said
 * with the function. Strings are NUL-terminated UTF-8 of at most 2048 bytes and are copied. With a lock in the
 * platform table, all but quecota_init() and quecota_deinit() may be called from any task, also from inside an event
 * callback; none from inside a function of the table, and none from an interrupt, unless the lock works there.
 */

#ifndef QUECOTA_H
#define QUECOTA_H

#include <stddef.h>
#include <stdint.h>

/* The version of quecota that this header belongs to. */
#define QUECOTA_VERSION_MAJOR 0
#define QUECOTA_VERSION_MINOR 1
#define QUECOTA_VERSION_PATCH 0
#define QUECOTA_VERSION "0.1.0"

/* An archive without the feature long-urls takes less memory: then QUECOTA_SHORT_URLS is defined, as CMake's target does. */
#ifndef QUECOTA_SHORT_URLS
#define QUECOTA_LONG_URLS
#endif
#if UINTPTR_MAX == 0xFFFFFFFFu
#define QUECOTA_32_BIT
#endif

/* A device. Opaque; it lives in memory of the caller. */
typedef struct quecota quecota_t;

/* A download of a port that has sockets only. Opaque; it lives in memory of the caller. */
typedef struct quecota_http quecota_http_t;

/** The value is not known. */
#define QUECOTA_UNKNOWN 2147483647

/** The length is not known. */
#define QUECOTA_LENGTH_UNKNOWN 4294967295U

/** Smallest receive buffer, in bytes. */
#define QUECOTA_RECEIVE_MIN 2048

#if (defined(QUECOTA_32_BIT) && defined(QUECOTA_LONG_URLS))
/** Bytes of memory that quecota_init() needs for one device. */
#define QUECOTA_SIZE 6848
#endif

#if (defined(QUECOTA_32_BIT) && !defined(QUECOTA_LONG_URLS))
/** Bytes of memory that quecota_init() needs for one device. */
#define QUECOTA_SIZE 5248
#endif

#if !defined(QUECOTA_32_BIT)
/** Bytes of memory that quecota_init() needs for one device. */
#define QUECOTA_SIZE 8192
#endif

/** Alignment of that memory. */
#define QUECOTA_ALIGN 8

/** Bytes of a component's name, with its NUL. */
#define QUECOTA_COMPONENT_SIZE 33

/** Bytes of a component's version, with its NUL. */
#define QUECOTA_VERSION_SIZE 65

#if defined(QUECOTA_LONG_URLS)
/** Bytes of memory for one download. */
#define QUECOTA_HTTP_SIZE 4480
#endif

#if !defined(QUECOTA_LONG_URLS)
/** Bytes of memory for one download. */
#define QUECOTA_HTTP_SIZE 1408
#endif

#if defined(QUECOTA_LONG_URLS)
/** Bytes that are enough for every request. */
#define QUECOTA_HTTP_REQUEST_SIZE 2560
#endif

#if !defined(QUECOTA_LONG_URLS)
/** Bytes that are enough for every request. */
#define QUECOTA_HTTP_REQUEST_SIZE 1024
#endif

/**
 * Result of most calls: QUECOTA_OK or what went wrong; quecota_error_text() says it in words. A number keeps its meaning in
 * every later version, which may add more: no code is ever renumbered or used again.
 */
typedef int32_t quecota_error_t;

/** Values of quecota_error_t. */
enum {
    /** Done, or started. */
    QUECOTA_OK = 0,
    /** A pointer is NULL that must not be, or the memory holds no live device. */
    QUECOTA_ERROR_NULL = 1,
    /** The memory for the device is smaller than QUECOTA_SIZE. */
    QUECOTA_ERROR_MEMORY = 2,
    /** The memory for the device is not aligned to QUECOTA_ALIGN. */
    QUECOTA_ERROR_ALIGN = 3,
    /** The `size` member of a struct is smaller than the first version of that struct was. */
    QUECOTA_ERROR_STRUCT = 4,
    /** A function that the platform must have is NULL. */
    QUECOTA_ERROR_PLATFORM = 5,
    /** The receive buffer is NULL or smaller than QUECOTA_RECEIVE_MIN. */
    QUECOTA_ERROR_RECEIVE = 6,
    /** A storage area's sizes break the rules of quecota_area_t. */
    QUECOTA_ERROR_AREA = 7,
    /** quecota_start() was not called, or was called twice. */
    QUECOTA_ERROR_STARTED = 8,
    /** Called from inside a function of the platform table. */
    QUECOTA_ERROR_REENTRY = 9,
    /** A value is empty, too long or not of the right form. */
    QUECOTA_ERROR_VALUE = 10,
    /** Only while the connection mode is idle. */
    QUECOTA_ERROR_NOT_IDLE = 11,
    /** No session with the platform. */
    QUECOTA_ERROR_OFFLINE = 12,
    /** Not allowed in the present OTA state. */
    QUECOTA_ERROR_STATE = 13,
    /** Product key, product secret or server is not set. */
    QUECOTA_ERROR_INCOMPLETE = 14,
    /** Outside the piece that is staged. */
    QUECOTA_ERROR_RANGE = 15,
    /** Storage failed, or gave other bytes than were written. */
    QUECOTA_ERROR_STORAGE = 16,
    /** No room now: poll, then offer it again. */
    QUECOTA_ERROR_BUSY = 17,
    /** The caller's buffer is too small. */
    QUECOTA_ERROR_ROOM = 18,
    /** The component is not known. */
    QUECOTA_ERROR_UNKNOWN = 19,
    /** A bug in this library (hosts only; please report it). */
    QUECOTA_ERROR_PANIC = 20,
    /** The process that made the device has forked, and this is the child (Linux platform only). */
    QUECOTA_ERROR_FORKED = 21
};

/** The event conventions. */
typedef int32_t quecota_dialect_t;

/** Values of quecota_dialect_t. */
enum {
    /** All event values are text; "not authenticated any more" is event 10 (SDK 2.10). */
    QUECOTA_DIALECT_2_10 = 0,
    /** The value of 10707 is a binary uint32_t; "not authenticated any more" is event 9 (SDK 2.9). */
    QUECOTA_DIALECT_2_9 = 1
};

/**
 * Event for the application. Called from the context of quecota_poll(), with no lock held and after the state has
 * changed, so it may make every call of this library but quecota_poll() and quecota_deinit().
 *
 * `value` is a copy of `length` bytes with a NUL behind them, which the callback may write on; it lives for the call
 * only. NULL and 0 when the event has no value.
 *
 * Threads: the task that polls, never an interrupt, and never two events of a device at once; on the Linux platform that is a
 * thread of the library. What other tasks and interrupts read of what it writes needs their own protection. It uses the stack
 * of the polling task, below some hundred bytes of the library, and while it runs nothing else of the device does: what takes
 * longer than a flash operation is handed to another task, which calls quecota_ota_action() when it is done.
 *
 * It must return: a C++ exception or a longjmp() out of it ends the process or leaves the device unusable, so catch
 * exceptions inside.
 */
typedef void (*quecota_event_cb_t)(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length);

/** What becomes of an upgrade that was confirmed before the device restarted. */
typedef int32_t quecota_resume_t;

/** Values of quecota_resume_t. */
enum {
    /** It is offered again (QUECOTA_OTA_PLAN) and waits for an answer, because the battery may be lower now. */
    QUECOTA_RESUME_ASK = 0,
    /** It goes on by itself; its next event is QUECOTA_OTA_START. */
    QUECOTA_RESUME_AT_ONCE = 1
};

/** What the application provides beside the platform. */
typedef struct {
    /** sizeof(quecota_config_t). */
    uint32_t size;
    /** QUECOTA_DIALECT_*. */
    quecota_dialect_t dialect;
    /** Room for messages from the platform until they are handled; belongs to the device until quecota_deinit(). */
    uint8_t *receive;
    /** Bytes of `receive`; QUECOTA_RECEIVE_MIN at least. */
    uint32_t receive_size;
    /** May be NULL: events then wait until quecota_set_event_callback(). */
    quecota_event_cb_t event;
    /** Handed to `event`. */
    void *event_ctx;
    /** QUECOTA_RESUME_*. */
    quecota_resume_t resume;
} quecota_config_t;

/** One MQTT 3.1.1 connection. All strings live for the call only. */
typedef struct {
    /** `mqtt://host:port` or `mqtts://host:port`. */
    const char *url;
    /** Client id. */
    const char *client_id;
    /** NULL: send no user name, although there is a password, as QuecThing devices do. */
    const char *user_name;
    /** Password. */
    const char *password;
    /** Keep-alive in seconds. Clean session is always 1. */
    uint16_t keep_alive;
} quecota_connect_t;

/**
 * MQTT and HTTP: one connection and one fetch at a time.
 *
 * Each function returns at once: 0 when the operation is started, anything else when it cannot be started now (the
 * library tries again by its own timers). What becomes of it is told by the quecota_on_*() calls, never from inside
 * these functions. No member but `ctx` may be NULL.
 */
typedef struct {
    /** sizeof(quecota_transport_t). */
    uint32_t size;
    /** Handed to each function. */
    void *ctx;
    /** Starts to connect; a connection that is there is closed first. Answer: quecota_on_link(). */
    int32_t (*connect)(void *ctx, const quecota_connect_t *to);
    /** Closes the connection; no answer. */
    void (*disconnect)(void *ctx);
    /** Subscribes with QoS 1. Answer: quecota_on_link() with QUECOTA_LINK_SUBSCRIBED. */
    int32_t (*subscribe)(void *ctx, const char *filter);
    /**
     * Sends `length` bytes with QoS 0, 1 or 2. One publish is under way at a time. Answer: quecota_on_sent() with `id`
     * once the peer has it (QoS 0: once it is handed on). Topic and payload live for the call only.
     */
    int32_t (*publish)(void *ctx,
                       const char *topic,
                       const uint8_t *payload,
                       uint32_t length,
                       uint8_t qos,
                       uint16_t id);
    /**
     * Starts `GET url` with the range `start .. start + length - 1`; http:// or https://. Answer:
     * quecota_on_fetch_begin(), quecota_on_fetch_data() as often as needed, quecota_on_fetch_end(). The url lives for
     * the call only.
     */
    int32_t (*fetch)(void *ctx, const char *url, uint32_t start, uint32_t length);
    /** Gives the fetch up. Answers that are under way may still come and are ignored. */
    void (*fetch_cancel)(void *ctx);
} quecota_transport_t;

/** The shape of a storage area. Constant while the device lives. */
typedef struct {
    /**
     * Bytes in all; a multiple of `erase`, not 0. The journal needs two erase blocks, and room for two copies of what
     * it keeps: 8192 are enough for erase blocks up to 4096, else two blocks (docs/journal.md has the table).
     */
    uint32_t size;
    /** Smallest unit that can be erased; a power of two, 16 at least. */
    uint32_t erase;
    /** Smallest unit that can be written; a power of two, 1..=256 and not more than `erase`. */
    uint32_t program;
    /** What an erased byte reads as: 0xFF or 0x00. */
    uint8_t erased;
} quecota_area_t;

/** What the functions of quecota_storage_t return. */
typedef int32_t quecota_storage_result_t;

/** Values of quecota_storage_result_t. */
enum {
    /** Done. */
    QUECOTA_STORAGE_OK = 0,
    /** Outside the area, or not aligned. */
    QUECOTA_STORAGE_RANGE = 1,
    /** No room left (a file on a full disk). */
    QUECOTA_STORAGE_FULL = 2,
    /** The storage failed. */
    QUECOTA_STORAGE_FAILED = 3
};

/** Which storage; the `area` argument of the functions of quecota_storage_t. */
typedef int32_t quecota_area_id_t;

/** Values of quecota_area_id_t. */
enum {
    /** The staged image, or one piece of it. */
    QUECOTA_AREA_IMAGE = 0,
    /** Progress and configuration. */
    QUECOTA_AREA_JOURNAL = 1
};

/**
 * Two areas with flash semantics: a byte is written once between two erases. No member but `ctx` and `sync` may be
 * NULL.
 */
typedef struct {
    /** sizeof(quecota_storage_t). */
    uint32_t size;
    /** Handed to each function. */
    void *ctx;
    /** The staged image: firmware of a module must fit whole, that of an MCU comes in pieces of this size. */
    quecota_area_t image;
    /** The journal. */
    quecota_area_t journal;
    /** Fills `data` from `offset`; no alignment is promised. */
    quecota_storage_result_t (*read)(void *ctx,
                                     quecota_area_id_t area,
                                     uint32_t offset,
                                     uint8_t *data,
                                     uint32_t length);
    /** Writes; `offset` and `length` are multiples of `program`, the bytes were erased before. */
    quecota_storage_result_t (*write)(void *ctx,
                                      quecota_area_id_t area,
                                      uint32_t offset,
                                      const uint8_t *data,
                                      uint32_t length);
    /** Erases; `offset` and `length` are multiples of `erase`. */
    quecota_storage_result_t (*erase)(void *ctx, quecota_area_id_t area, uint32_t offset, uint32_t length);
    /** Everything written before is there after a power cut once this returns. NULL: writes are durable at once. */
    quecota_storage_result_t (*sync)(void *ctx, quecota_area_id_t area);
} quecota_storage_t;

/** How much a log line matters. */
typedef int32_t quecota_level_t;

/** Values of quecota_level_t. */
enum {
    /** Something is lost or refused. */
    QUECOTA_LEVEL_ERROR = 1,
    /** Something is odd but handled. */
    QUECOTA_LEVEL_WARN = 2,
    /** The course of things. */
    QUECOTA_LEVEL_INFO = 3,
    /** Detail. */
    QUECOTA_LEVEL_DEBUG = 4
};

/** A file of a module package, staged and verified. */
typedef struct {
    /** Its place in the package, as the platform numbers it. */
    uint32_t index;
    /** Its first byte in the image area: the start of an erase block. */
    uint32_t offset;
    /** Bytes. */
    uint32_t length;
    /** MD5, as announced and verified. */
    uint8_t md5[16];
} quecota_staged_file_t;

/**
 * Clock, random numbers, lock, and facts about the device. `millis`, `random` and `device_key` may not be NULL; of the others, NULL means what
 * is said with each.
 */
typedef struct {
    /** sizeof(quecota_system_t). */
    uint32_t size;
    /** Handed to each function. */
    void *ctx;
    /** Milliseconds of a clock that never stops; wraps at 2^32. */
    uint32_t (*millis)(void *ctx);
    /** Fills `data` with random bytes, good enough for nonces. */
    void (*random)(void *ctx, uint8_t *data, uint32_t length);
    /** The hardware id (IMEI or MAC): 1..16 letters and digits. Copied at once. */
    const char *(*device_key)(void *ctx);
    /** Takes the lock of this device; not needed to be recursive. NULL: all calls come from one context. */
    void (*lock)(void *ctx);
    /** Gives the lock back. NULL exactly if `lock` is. */
    void (*unlock)(void *ctx);
    /**
     * There is work: let quecota_poll() run soon, whatever it returned last. Called without the lock, from whatever
     * context made the work. NULL: the poll's return value is not slept through anyway.
     */
    void (*wake)(void *ctx);
    /** One line without line end; `line` ends with NUL, which `length` does not count. NULL: no log. */
    void (*log)(void *ctx, quecota_level_t level, const char *line, uint32_t length);
    /** Battery in per cent, or QUECOTA_UNKNOWN, as NULL. */
    int32_t (*battery)(void *ctx);
    /** Supply voltage in millivolts, or QUECOTA_UNKNOWN, as NULL. */
    int32_t (*voltage)(void *ctx);
    /** RSSI in dBm, or QUECOTA_UNKNOWN, as NULL. */
    int32_t (*signal)(void *ctx);
    /** RSRP in dBm, or QUECOTA_UNKNOWN, as NULL. */
    int32_t (*rsrp)(void *ctx);
    /** Bytes to report as free for firmware, or QUECOTA_LENGTH_UNKNOWN, as NULL: the size of the image area. */
    uint32_t (*free_space)(void *ctx);
    /** The module's model. Copied at once. NULL: none. */
    const char *(*module_model)(void *ctx);
    /** The module firmware's version, at most 64 characters. Copied at once. NULL: none. */
    const char *(*module_version)(void *ctx);
    /**
     * Module firmware, the first `length` bytes of the image area, is verified: take it over. Returns the
     * milliseconds within which the module reboots into it, or a negative number to refuse it, as NULL.
     */
    int32_t (*apply)(void *ctx, uint32_t length);
    /**
     * Called by quecota_start() at its end, without the lock: a platform with a task of its own lets it call
     * quecota_poll() from now on, and learns here which device to answer to. Returns 0, or anything else when that
     * cannot be. NULL: the application polls.
     */
    int32_t (*run)(void *ctx, quecota_t *device);
    /**
     * Called by quecota_deinit() at its beginning, without the lock: once it returns, nobody calls into the device
     * any more. NULL: the application sees to that.
     */
    void (*stop)(void *ctx);
    /**
     * Every file of a module package, `count` of them (2..5) in the order of the platform's list, is verified: take
     * them over. Returns as `apply`. NULL: a package of several files is refused before its download
     * (QUECOTA_FAILURE_NO_PACKAGES).
     */
    int32_t (*apply_files)(void *ctx, const quecota_staged_file_t *files, uint32_t count);
    /**
     * Kinds of NMEA sentences that the position receiver gives, with commas between, such as "GGA,RMC"; at most 8 of
     * them, of 7 characters at most. Copied at once. NULL: there is no receiver.
     */
    const char *(*position_kinds)(void *ctx);
    /**
     * Writes the last sentence of `kind`, one of position_kinds(), from "$" to its checksum, without line end, to
     * `sentence`, which has `room` bytes (82 at least). Returns its length, or 0: there is none now, as NULL.
     */
    uint32_t (*position)(void *ctx, const char *kind, char *sentence, uint32_t room);
} quecota_system_t;

/**
 * The platform of a device. The structs are copied by quecota_init(); what the `ctx` pointers point to must outlive
 * the device.
 *
 * Every function but `lock`, `wake`, `run` and `stop` is called with the device's lock held, from the context of
 * quecota_poll() or of whatever call needed it. It must not call quecota_*() of the same device: such a call is
 * refused with QUECOTA_ERROR_REENTRY if the lock is NULL or recursive, and waits for ever on any other lock.
 */
typedef struct {
    /** sizeof(quecota_platform_t). */
    uint32_t size;
    /** MQTT and HTTP. */
    const quecota_transport_t *transport;
    /** Image and journal. */
    const quecota_storage_t *storage;
    /** Clock, lock, random, facts about the device. */
    const quecota_system_t *system;
} quecota_platform_t;

/** Event of the MQTT connection. */
typedef int32_t quecota_link_t;

/** Values of quecota_link_t. */
enum {
    /** CONNACK with code 0. */
    QUECOTA_LINK_CONNECTED = 0,
    /** CONNACK with another code: hand it over as `connack`. */
    QUECOTA_LINK_REFUSED = 1,
    /** SUBACK that grants the filter. */
    QUECOTA_LINK_SUBSCRIBED = 2,
    /** SUBACK that refuses it. */
    QUECOTA_LINK_SUBSCRIBE_REFUSED = 3,
    /** No network, no such host, TLS trouble, or the connection closed. */
    QUECOTA_LINK_LOST = 4
};

/** Whether the transport is to go on with a fetch. */
typedef int32_t quecota_flow_t;

/** Values of quecota_flow_t. */
enum {
    /** Hand over the next bytes. */
    QUECOTA_FLOW_CONTINUE = 0,
    /** Drop this fetch; nothing more of it is wanted, not even its end. */
    QUECOTA_FLOW_STOP = 1
};

/** The head of an HTTP answer, for quecota_on_fetch_head(). Set all of it to zero first, then `size`. */
typedef struct {
    /** sizeof(quecota_fetch_head_t). */
    uint32_t size;
    /** HTTP status. */
    uint32_t status;
    /** First byte of the body within the file (Content-Range; 0 when there is none). */
    uint32_t first;
    /** Bytes of the body, or QUECOTA_LENGTH_UNKNOWN. */
    uint32_t length;
    /** Bytes of the whole file, or QUECOTA_LENGTH_UNKNOWN. */
    uint32_t total;
    /** Seconds of Retry-After; 0: none. */
    uint32_t retry_after;
    /** Content-Encoding as it came; NULL: none. Lives for the call only. */
    const char *content_encoding;
} quecota_fetch_head_t;

/** Connection mode. */
typedef int32_t quecota_mode_t;

/** Values of quecota_mode_t. */
enum {
    /** Disconnect and stay disconnected. */
    QUECOTA_MODE_IDLE = 0,
    /** Connect and stay connected. */
    QUECOTA_MODE_REQUEST = 1
};

/** State of the session with the platform. */
typedef int32_t quecota_work_state_t;

/** Values of quecota_work_state_t. */
enum {
    QUECOTA_STATE_UNINITIALIZED = 0,
    QUECOTA_STATE_INITIALIZED = 1,
    QUECOTA_STATE_AUTHENTICATING = 2,
    QUECOTA_STATE_AUTHENTICATED = 3,
    QUECOTA_STATE_AUTHENTICATE_FAILED = 4,
    QUECOTA_STATE_CONNECTING = 5,
    QUECOTA_STATE_CONNECTED = 6,
    QUECOTA_STATE_CONNECT_FAILED = 7,
    /** Online: reports and requests go through. */
    QUECOTA_STATE_SUBSCRIBED = 8,
    QUECOTA_STATE_SUBSCRIBE_FAILED = 9,
    QUECOTA_STATE_DISCONNECTING = 10,
    QUECOTA_STATE_DISCONNECTED = 11,
    QUECOTA_STATE_DISCONNECT_FAILED = 12
};

/** The application's answer to an OTA event. */
typedef int32_t quecota_action_t;

/** Values of quecota_action_t. */
enum {
    /** Refuse the plan. */
    QUECOTA_ACTION_REFUSE = 0,
    /** Confirm the plan. */
    QUECOTA_ACTION_CONFIRM = 1,
    /** The staged piece was read: fetch the next. */
    QUECOTA_ACTION_NEXT = 2,
    /** The last piece was read and the MCU is updating itself. */
    QUECOTA_ACTION_UPDATING = 3
};

/** State and byte counts of an upgrade. */
typedef struct {
    /**
     * The state as reported to the platform: 0 no plan, 1 plan received, 2 confirmed, 3 refused, 4 download starts,
     * 5 downloading, 6 download failed, 8 piece or file staged, 9 updating, 11 success, 12 failed.
     */
    int32_t state;
    /** Bytes of the file that are downloaded. */
    uint32_t received;
    /** Bytes of the file in all; 0 before it is known. */
    uint32_t size;
} quecota_progress_t;

/**
 * Reason of the last failure; QUECOTA_FAILURE_*. A platform of quecota gets the same number with its status
 * report.
 */
typedef int32_t quecota_failure_t;

/** Values of quecota_failure_t. They stay the same in later versions, which may add more. */
enum {
    /** Nothing failed since the plan came. */
    QUECOTA_FAILURE_NONE = 0,
    /** The platform sent no firmware URL in time. */
    QUECOTA_FAILURE_NO_URL = 1,
    /** The platform's firmware information is incomplete or not usable. */
    QUECOTA_FAILURE_BAD_INFO = 2,
    /** The image area has no room for the image. */
    QUECOTA_FAILURE_NO_ROOM = 3,
    /** The firmware server does not answer. */
    QUECOTA_FAILURE_NO_ANSWER = 4,
    /** The firmware server answered another status than 200 or 206. */
    QUECOTA_FAILURE_HTTP_STATUS = 5,
    /** The firmware server sent another range than was asked for. */
    QUECOTA_FAILURE_WRONG_RANGE = 6,
    /** The body ended early. */
    QUECOTA_FAILURE_SHORT = 7,
    /** The body is longer than was asked for. */
    QUECOTA_FAILURE_LONG = 8,
    /** The download stalled. */
    QUECOTA_FAILURE_STALLED = 9,
    /** The image area failed. */
    QUECOTA_FAILURE_STORAGE = 10,
    /** The digests of the image are not the announced ones. */
    QUECOTA_FAILURE_WRONG_DIGEST = 11,
    /** The plan did not come back after a failed download. */
    QUECOTA_FAILURE_PLAN_GONE = 12,
    /** The application did not read the staged piece in time. */
    QUECOTA_FAILURE_NOT_READ = 13,
    /** The new version was not reported in time. */
    QUECOTA_FAILURE_NO_VERSION = 14,
    /** Another version than the target was reported. */
    QUECOTA_FAILURE_OTHER_VERSION = 15,
    /** The platform's apply refused the image. */
    QUECOTA_FAILURE_APPLY_REFUSED = 16,
    /** The application cancelled the upgrade. */
    QUECOTA_FAILURE_CANCELLED = 17,
    /** The application held the module firmware back for too long. */
    QUECOTA_FAILURE_HELD_TOO_LONG = 18,
    /** The device restarted again and again without getting further. */
    QUECOTA_FAILURE_RESTARTS = 19,
    /** The package has several files, and the platform's table has no apply_files. */
    QUECOTA_FAILURE_NO_PACKAGES = 20,
    /** The download took too long, though bytes came. */
    QUECOTA_FAILURE_TOO_SLOW = 21,
    /**
     * The firmware URL, or those of a package together, are longer than 2048 bytes, or their message is longer than the
     * receive buffer.
     */
    QUECOTA_FAILURE_URL_TOO_LONG = 22,
    /** The firmware server sent a compressed body (Content-Encoding). */
    QUECOTA_FAILURE_ENCODED = 23,
    /** What was staged before a restart of the device reads back otherwise; it is fetched again. */
    QUECOTA_FAILURE_DAMAGED = 24
};

/** The value of QUECOTA_OTA_PLAN. Set `size` before quecota_parse_plan(). */
typedef struct {
    /** sizeof(quecota_plan_t). */
    uint32_t size;
    /** Least battery charge that the plan asks for, in per cent; 0: any. */
    uint32_t battery;
    /** Weakest signal that it asks for, in dBm; 0: any. */
    int32_t signal;
    /** Free bytes that it asks for; 0: any. */
    uint32_t space;
    /** Which component is to be upgraded. */
    char component[QUECOTA_COMPONENT_SIZE];
    /** The version that it has; may be empty. */
    char source_version[QUECOTA_VERSION_SIZE];
    /** The version that it gets. */
    char target_version[QUECOTA_VERSION_SIZE];
} quecota_plan_t;

/** The value of QUECOTA_OTA_START. Set `size` before quecota_parse_download(). */
typedef struct {
    /** sizeof(quecota_download_t). */
    uint32_t size;
    /** Bytes of the whole file; 0: module firmware. */
    uint32_t total;
    /** The CRC as the platform announced it. */
    uint32_t crc;
    /** Not 0: there is a `sha256`. */
    int32_t has_sha256;
    /** MD5 of the whole file. */
    uint8_t md5[16];
    /** SHA-256 of the whole file, where quecota_ota_request() asked for it; else zeros. */
    uint8_t sha256[32];
    /** Which component; empty: module firmware, which the library downloads and applies by itself. */
    char component[QUECOTA_COMPONENT_SIZE];
} quecota_download_t;

/** The value of QUECOTA_OTA_DOWNLOADED. Set `size` before quecota_parse_piece(). */
typedef struct {
    /** sizeof(quecota_piece_t). */
    uint32_t size;
    /** Bytes of the whole file; 0: module firmware. */
    uint32_t total;
    /** The piece's first byte within the file: where quecota_ota_read() begins. */
    uint32_t start;
    /** Bytes of the piece. */
    uint32_t length;
    /** Which component; empty: module firmware, of which there is nothing to read. */
    char component[QUECOTA_COMPONENT_SIZE];
} quecota_piece_t;

/** `code` of a QUECOTA_EVENT_OTA. */
typedef int32_t quecota_ota_t;

/** Values of quecota_ota_t. Texts quote names and give numbers in decimal, separated by commas. */
enum {
    /**
     * There is a plan: `"component","source version","target version",battery,signal,space`. Answer with
     * QUECOTA_ACTION_CONFIRM or QUECOTA_ACTION_REFUSE.
     */
    QUECOTA_OTA_PLAN = 10700,
    /** The download starts: `"component",size,"md5",crc` and, where asked for, `,"sha256"`; no value for a module. */
    QUECOTA_OTA_START = 10701,
    /** The download goes on; no value. */
    QUECOTA_OTA_DOWNLOADING = 10702,
    /** A piece is staged and can be read: `"component",size,start,length`; no value for a module. */
    QUECOTA_OTA_DOWNLOADED = 10703,
    /** The update runs; no value. */
    QUECOTA_OTA_UPDATING = 10704,
    /** The component has its target version; no value. */
    QUECOTA_OTA_SUCCESS = 10705,
    /** The upgrade failed; no value. */
    QUECOTA_OTA_FAILED = 10706,
    /** A plan of several components was answered: `0` refused, `1` confirmed. */
    QUECOTA_OTA_ANSWERED = 10707
};

/** How an upgrade ended: QUECOTA_OTA_SUCCESS or QUECOTA_OTA_FAILED. Set `size` before quecota_parse_end(). */
typedef struct {
    /** sizeof(quecota_end_t). */
    uint32_t size;
    /** Not 0: the component has its target version. */
    int32_t succeeded;
    /** Why it failed; QUECOTA_FAILURE_NONE if it did not. */
    quecota_failure_t failure;
    /** Which component. */
    char component[QUECOTA_COMPONENT_SIZE];
} quecota_end_t;

/** What a port does next. */
typedef int32_t quecota_http_next_t;

/** Values of quecota_http_next_t. */
enum {
    /** Read on from the socket. */
    QUECOTA_HTTP_MORE = 0,
    /** It is over, and the device knows: close the connection. */
    QUECOTA_HTTP_DONE = 1,
    /** It is over, and the device knows: the connection may stay open for the next request to the same host and port. */
    QUECOTA_HTTP_DONE_KEEP = 2,
    /** Close the connection, then connect to what quecota_http_target() says now and send quecota_http_request() there. */
    QUECOTA_HTTP_REDIRECT = 3
};

/** The rule that a storage breaks, for quecota_check_storage(). Set `size` before. */
typedef struct {
    /** sizeof(quecota_storage_fault_t). */
    uint32_t size;
    /** In which area: QUECOTA_AREA_*. */
    quecota_area_id_t area;
    /** At which byte of it. */
    uint32_t offset;
    /** What should be there, or be returned: 0, QUECOTA_STORAGE_OK. */
    uint32_t expected;
    /** What is there, or was returned. */
    uint32_t found;
    /** The rule, in English: the function or member, and what it must do. NULL: all rules hold. */
    const char *rule;
} quecota_storage_fault_t;

/** Memory for one device, for those who keep it in a variable. */
typedef union {
    uint64_t aligned;
    unsigned char bytes[QUECOTA_SIZE];
} quecota_memory_t;

/** `event` of the event callback. */
typedef uint32_t quecota_event_t;

/** Values of quecota_event_t. The code of events 1, 2, 3 and 6 is 10200 for success; else a reason. */
enum {
    /** Authenticated with the platform, or why not. */
    QUECOTA_EVENT_AUTH = 1,
    /** Connected to the platform, or why not. */
    QUECOTA_EVENT_CONNECT = 2,
    /** Subscribed, or why not. */
    QUECOTA_EVENT_SUBSCRIBE = 3,
    /** A business message was sent (code 10200 to 10250) or not (10300 to 10350). Only in an archive with the drop-in API, as 5. */
    QUECOTA_EVENT_SEND = 4,
    /**
     * A business message came. Code 10200: bytes for the application (0x0023); 10210: values that the platform sets
     * (0x0013), as TTLV that was checked; 10211: ids of values that the platform wants (0x0011), two bytes each, big
     * endian, after the packet id, which the answer repeats.
     */
    QUECOTA_EVENT_RECEIVE = 5,
    /** Logged out. */
    QUECOTA_EVENT_LOGOUT = 6,
    /** OTA: the code is one of quecota_ota_t. */
    QUECOTA_EVENT_OTA = 7,
    /** The platform reports an error: the code. */
    QUECOTA_EVENT_SERVER = 8
};

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this library, "major.minor.patch". */
const char *quecota_version(void);

/** What a code of quecota_error_t means, in English; never NULL, never to be freed. */
const char *quecota_error_text(quecota_error_t error);

/**
 * Makes a device in `memory`: `size` bytes (QUECOTA_SIZE), aligned to QUECOTA_ALIGN, which belong to it until
 * quecota_deinit(). `config` and `platform` are copied. On success `*device` is the handle. A refusal leaves a line in the
 * log of `platform` that names the struct, the member or area, and the rule.
 *
 * Threads: from one task, not from an interrupt, and by nobody else for the same memory. It takes no lock, calls no function
 * of the platform but `log`, waits for nothing, and shares nothing with other devices, which other tasks may make and use
 * meanwhile.
 */
quecota_error_t quecota_init(void *memory,
                             size_t size,
                             const quecota_config_t *config,
                             const quecota_platform_t *platform,
                             quecota_t **device);

/**
 * Loads the journal and goes on with what an earlier run left; once, before anything else. At its end the platform's
 * own task begins, where it has one; if that fails: QUECOTA_ERROR_PLATFORM.
 */
quecota_error_t quecota_start(quecota_t *device);

/**
 * One step: timers, one message, one report; then events. Returns the milliseconds that may pass before the next
 * call; call it earlier when the platform's wake() was called. From one task only; called anywhere else, or inside an
 * event callback, or for a device that is NULL or not started, it does nothing and returns 1000. So it does on the Linux
 * platform, whose own thread polls.
 */
uint32_t quecota_poll(quecota_t *device);

/**
 * Ends a device: stops the platform's task, gives up a fetch, closes the connection. What was stored stays, and a new
 * device goes on from it. Nobody else may be in a call of this device, nor make one later.
 *
 * Inside an event callback: QUECOTA_ERROR_REENTRY, and nothing has changed. A port's table does not tell tasks apart,
 * so there every task gets QUECOTA_ERROR_REENTRY while a callback runs; call again after it has returned.
 */
quecota_error_t quecota_deinit(quecota_t *device);

/** Sets the one receiver of events. NULL: events vanish from now on. Events wait while none was ever set. */
quecota_error_t quecota_set_event_callback(quecota_t *device, quecota_event_cb_t event, void *ctx);

/** The connection changed. `connack` matters for QUECOTA_LINK_REFUSED only: the CONNACK code, 1..5. */
quecota_error_t quecota_on_link(quecota_t *device, quecota_link_t link, uint8_t connack);

/**
 * A message came. It is copied. QUECOTA_ERROR_BUSY: no room now; poll, then offer it again, and do not acknowledge it
 * before it was taken.
 */
quecota_error_t quecota_on_message(quecota_t *device,
                                   const char *topic,
                                   const uint8_t *payload,
                                   uint32_t length);

/** The publish `id` was acknowledged by the peer (`delivered` is not 0), or was lost. */
quecota_error_t quecota_on_sent(quecota_t *device, uint16_t id, int32_t delivered);

/**
 * The head of the HTTP answer came: its status, the first byte of the body within the file (Content-Range; 0 when
 * there is none), the length of the body and that of the whole file, each QUECOTA_LENGTH_UNKNOWN when the answer does
 * not tell. The transport hands over every status; the library checks it.
 */
quecota_flow_t quecota_on_fetch_begin(quecota_t *device,
                                      uint16_t status,
                                      uint32_t first,
                                      uint32_t length,
                                      uint32_t total);

/**
 * As quecota_on_fetch_begin(), with what else a head says: a server that asks for patience, and a body that is
 * compressed and so not wanted.
 */
quecota_flow_t quecota_on_fetch_head(quecota_t *device,
                                     const quecota_fetch_head_t *head);

/** The next bytes of the body, in any portions; written to storage before this returns. */
quecota_flow_t quecota_on_fetch_data(quecota_t *device, const uint8_t *data, uint32_t length);

/** The fetch is over. `complete` is not 0: the body came to its end. 0: it could not begin, or broke off. */
quecota_error_t quecota_on_fetch_end(quecota_t *device, int32_t complete);

/** Product key of 1..32 characters and secret of 16..32; idle only; kept in the journal. A change forgets the device secret. */
quecota_error_t quecota_set_product(quecota_t *device,
                                    const char *key,
                                    const char *secret);

/**
 * `mqtt://host:port`, `mqtts://host:port` or `host:port`, below 64 characters; idle only; kept in the journal. A
 * change forgets the device secret.
 */
quecota_error_t quecota_set_server(quecota_t *device,
                                   const char *url);

/**
 * The application's own device key (1..16 letters and digits) and secret; idle only; kept in the journal. NULL or empty key: the hardware id again.
 * NULL or empty secret: the platform gives one.
 */
quecota_error_t quecota_set_device(quecota_t *device,
                                   const char *key,
                                   const char *secret);

/** MQTT user name, for brokers that demand one. NULL or empty, the default: none. */
quecota_error_t quecota_set_user_name(quecota_t *device, const char *name);

/** Keep-alive in seconds, not 0; idle only; 120 by default. */
quecota_error_t quecota_set_lifetime(quecota_t *device, uint16_t seconds);

/** Whether payloads are encrypted (`wanted` is not 0); idle only; not by default. */
quecota_error_t quecota_set_session_encryption(quecota_t *device, int32_t wanted);

/** Text that is appended to the module's version as it is reported. NULL or empty: none. */
quecota_error_t quecota_set_app_version(quecota_t *device, const char *version);

/**
 * The version that an MCU component runs, at most 64 characters; NULL or empty: there is no such component. During an
 * upgrade of that component the target version means success, the version before changes nothing, and any other means
 * failure.
 */
quecota_error_t quecota_set_mcu_version(quecota_t *device,
                                        const char *component,
                                        const char *version);

/**
 * Copies the version of an MCU component with its NUL to `version`; `component` NULL: all of them, as `a:1;b:2`.
 * QUECOTA_ERROR_UNKNOWN: no such component. QUECOTA_ERROR_ROOM: `size` is too small (512 is enough for all).
 */
quecota_error_t quecota_get_mcu_version(quecota_t *device,
                                        const char *component,
                                        char *version,
                                        uint32_t size);

/**
 * Connects (and stays connected) or disconnects. The same mode again does nothing. QUECOTA_ERROR_VALUE also when neither
 * the application nor the platform has given a device key of 1..16 letters and digits.
 */
quecota_error_t quecota_set_mode(quecota_t *device,
                                 quecota_mode_t mode);

/** The mode that was set; QUECOTA_MODE_IDLE also for a device that is NULL or not started. */
quecota_mode_t quecota_get_mode(quecota_t *device);

/** The state of the session; QUECOTA_STATE_UNINITIALIZED for a device that is NULL or not started. */
quecota_work_state_t quecota_get_work_state(quecota_t *device);

/** Writes one line to the platform's log, as the library does. */
quecota_error_t quecota_log(quecota_t *device, quecota_level_t level, const char *line);

/** Asks the platform for an upgrade plan. `want_sha256` is not 0: the SHA-256 of the file is wanted, too. */
quecota_error_t quecota_ota_request(quecota_t *device, int32_t want_sha256);

/** Answers an OTA event; also from inside the event callback. QUECOTA_ERROR_STATE: the state does not allow it. */
quecota_error_t quecota_ota_action(quecota_t *device,
                                   quecota_action_t action);

/**
 * Reads from the staged piece: up to `size` bytes from `offset`, which counts from the start of the whole file.
 * `*read` is how many there were, at least 1 on success; 0 otherwise.
 */
quecota_error_t quecota_ota_read(quecota_t *device,
                                 uint32_t offset,
                                 uint8_t *data,
                                 uint32_t size,
                                 uint32_t *read);

/**
 * Checkpoint of the application: the bytes before `offset` of the present MCU image are in the MCU's flash and survive
 * power loss. On QUECOTA_OK the checkpoint is in the journal. After a reboot the download goes on there, and the first
 * QUECOTA_OTA_DOWNLOADED begins there, even if the staging area holds only pieces of the image. Fetched again is at
 * most 16 KB (or an erase block of the image area, if that is larger).
 *
 * `offset` counts bytes from the start of the whole file. While a piece is staged (state 8): from the start that
 * QUECOTA_OTA_DOWNLOADED gave to the end of that piece. Between pieces: the end of the last piece. 0 takes the
 * checkpoint back; in states 1 and 2 the image then begins again at its first byte.
 *
 * A checkpoint belongs to one image: component, target version, size and digests. It is dropped for any other image,
 * and when the digest of the whole image is wrong; so write where QUECOTA_OTA_DOWNLOADED says, also before the
 * checkpoint. Each call writes some 200 bytes to the journal; once for each 16 KB is enough. It restarts the 60 s within
 * which a staged piece must be read.
 *
 * QUECOTA_ERROR_STATE: no MCU upgrade with a known file is in states 1 to 8. QUECOTA_ERROR_RANGE: `offset` is outside
 * the range above. QUECOTA_ERROR_STORAGE: the journal was not written, or the staged bytes cannot be read. May be called
 * inside the event callback.
 */
quecota_error_t quecota_ota_checkpoint(quecota_t *device,
                                       uint32_t offset);

/**
 * Writes the present checkpoint to `*offset`: where the application goes on with the present image; 0: at its first
 * byte. Known as soon as quecota_start() has returned, and certain from QUECOTA_OTA_START on, which shows that the image
 * is still the same.
 */
quecota_error_t quecota_ota_get_checkpoint(quecota_t *device,
                                           uint32_t *offset);

/**
 * Cancels the upgrade in any state. A plan without an answer is refused. A later upgrade fails (QUECOTA_OTA_FAILED)
 * with QUECOTA_FAILURE_CANCELLED, its staged bytes are dropped, and components of the plan that have not begun do not
 * begin. The platform may offer the plan again. QUECOTA_ERROR_STATE: there is no upgrade, or module firmware was handed
 * over already, and the version that runs decides. May be called inside the event callback.
 */
quecota_error_t quecota_ota_cancel(quecota_t *device);

/**
 * Holds verified module firmware back from apply(), which restarts the module, until quecota_ota_allow_apply(). For
 * moments in which a restart does harm (moving actuators). May be called at any time, also in advance; ends with the
 * next start of the device. After 45 minutes, counted from when the firmware would have been handed over, the upgrade
 * fails with QUECOTA_FAILURE_HELD_TOO_LONG, because the platform stops waiting then, too. QUECOTA_ERROR_STATE: the
 * firmware was handed over already. May be called inside the event callback.
 */
quecota_error_t quecota_ota_hold_apply(quecota_t *device);

/**
 * Ends quecota_ota_hold_apply(). Firmware that was held back is handed to apply() before this returns, so the module may
 * restart at any moment from then on. Without a hold: no effect.
 */
quecota_error_t quecota_ota_allow_apply(quecota_t *device);

/**
 * Extends the time limit of the MCU: the upgrade does not fail for the next `milliseconds`. While a piece is staged
 * (state 8) this is the limit for reading it, 60 s from one read to the next; at most 50 minutes in all for one piece.
 * While the MCU updates (state 9) it is the limit for its new version, 20 minutes; at most 100 minutes more in all. A
 * value below what is left changes nothing. A platform may give up sooner (quecota-center after 60 minutes in state 8
 * and 30 in 9); a version that is reported later still counts.
 *
 * QUECOTA_ERROR_STATE: no MCU upgrade is in state 8 or 9. QUECOTA_ERROR_RANGE: above the limit in all; nothing changes.
 * May be called inside the event callback.
 */
quecota_error_t quecota_ota_need_time(quecota_t *device,
                                      uint32_t milliseconds);

/** Writes state and byte counts of the upgrade to `*progress`. */
quecota_error_t quecota_ota_progress(quecota_t *device, quecota_progress_t *progress);

/**
 * The platform of applications of the drop-in API (Ql_iotApi.h), for native ones to use as well. On Linux hosts the
 * library brings one, configured by QUECOTA_* environment variables, as a weak symbol; elsewhere, or instead, an
 * object file of the port defines it. NULL: there is none now.
 *
 * The table of the Linux platform is a token: its members are NULL, and it works only where it is handed on as it
 * is, by its address, to quecota_init(). It serves one device at a time; quecota_start() of another one while the
 * first lives returns QUECOTA_ERROR_PLATFORM.
 *
 * A device on the Linux platform belongs to the process: in a child that is forked later every call is refused with
 * QUECOTA_ERROR_FORKED. The event callback runs in a thread of the library, which has all signals blocked but
 * SIGSEGV, SIGBUS, SIGFPE and SIGILL.
 */
extern const quecota_platform_t *quecota_default_platform(void);

/**
 * The device of an application that uses the drop-in API (Ql_iotInit()), for what only the native API has, such as
 * quecota_ota_checkpoint(). NULL until Ql_iotInit() has returned TRUE. It is the library's: not to be given to
 * quecota_init(), quecota_start(), quecota_poll() or quecota_deinit(). From any task, also inside the event callback.
 */
quecota_t *quecota_default_device(void);

/**
 * The reason of the last failure, until the next plan is answered or an upgrade succeeds; QUECOTA_FAILURE_NONE also for
 * a device that is NULL or not started.
 */
quecota_failure_t quecota_ota_failure(quecota_t *device);

/** What a quecota_failure_t means, in English; never NULL, never to be freed. */
const char *quecota_failure_text(quecota_failure_t failure);

/**
 * Reads the value of a QUECOTA_OTA_PLAN into `*plan`. QUECOTA_ERROR_VALUE: it is no such text, or its names are too long;
 * `*plan` is as it was then. As the other quecota_parse_*() it needs no device, and may be called from anywhere.
 */
quecota_error_t quecota_parse_plan(const void *value,
                                   uint32_t length,
                                   quecota_plan_t *plan);

/**
 * Reads the value of a QUECOTA_OTA_START into `*download`. No value (NULL and 0) is what a module has: an empty component
 * and zeros. QUECOTA_ERROR_VALUE: it is no such text; `*download` is as it was then.
 */
quecota_error_t quecota_parse_download(const void *value,
                                       uint32_t length,
                                       quecota_download_t *download);

/**
 * Reads the value of a QUECOTA_OTA_DOWNLOADED into `*piece`. No value (NULL and 0) is what a module has: an empty
 * component and zeros. QUECOTA_ERROR_VALUE: it is no such text; `*piece` is as it was then.
 */
quecota_error_t quecota_parse_piece(const void *value,
                                    uint32_t length,
                                    quecota_piece_t *piece);

/**
 * How the upgrade ended, to `*end`; call it inside the event. `code` is that of the event: QUECOTA_OTA_SUCCESS or
 * QUECOTA_OTA_FAILED; QUECOTA_ERROR_VALUE for any other.
 */
quecota_error_t quecota_parse_end(quecota_t *device,
                                  quecota_ota_t code,
                                  quecota_end_t *end);

/**
 * Begins a download in `memory`, QUECOTA_HTTP_SIZE bytes aligned to QUECOTA_ALIGN: call it from `fetch` of the platform
 * table, with the same arguments. On success `*http` is the handle; it needs no end.
 */
quecota_error_t quecota_http_begin(void *memory,
                                   size_t size,
                                   const char *url,
                                   uint32_t start,
                                   uint32_t length,
                                   quecota_http_t **http);

/**
 * Where to connect to: the host's name or address to `host` (`room` bytes with its NUL), the port to `*port`, and to
 * `*tls` whether TLS is asked for, 0 or 1.
 */
quecota_error_t quecota_http_target(quecota_http_t *http,
                                    char *host,
                                    uint32_t room,
                                    uint16_t *port,
                                    int32_t *tls);

/** The request to send, to `out` of `room` bytes (QUECOTA_HTTP_REQUEST_SIZE are always enough); its length to `*length`. */
quecota_error_t quecota_http_request(quecota_http_t *http,
                                     uint8_t *out,
                                     uint32_t room,
                                     uint32_t *length);

/**
 * Bytes that came from the socket, in any portions. Calls quecota_on_fetch_begin(), _data() and _end() of `device` by
 * itself and says what to do next.
 */
quecota_http_next_t quecota_http_feed(quecota_http_t *http,
                                      quecota_t *device,
                                      const uint8_t *data,
                                      uint32_t length);

/**
 * The connection could not be made, or the peer closed it. Always ends the download; quecota_on_fetch_end() is called
 * by itself. Not after QUECOTA_HTTP_DONE.
 */
quecota_error_t quecota_http_closed(quecota_http_t *http,
                                    quecota_t *device);

/**
 * Checks the storage of a port, without a device: erases, writes and reads both areas whole, by the functions of the
 * table alone. **Nothing that was stored is left**; both areas are erased at the end. Run it once on a new board and after
 * each change of the flash driver, not at each start: it costs each block two to four erase cycles, and as much time as the
 * flash needs for that. It needs some 600 bytes of stack and waits for nothing else.
 *
 * The rules, in the order in which they are looked at: the sizes are those that quecota_init() takes; an erased byte reads
 * as `erased`; what was written is read back, and its neighbours are as before; `sync` succeeds; each byte of the area is
 * a place of its own; any offset and length can be read; erasing a block leaves the blocks beside it; an erased block can
 * be written again; the two areas share no byte.
 *
 * QUECOTA_OK: all hold. QUECOTA_ERROR_AREA or QUECOTA_ERROR_STORAGE: `*fault` says which does not; `fault` may be NULL.
 * QUECOTA_ERROR_PLATFORM: `read`, `write` or `erase` is NULL. Not while a device uses the storage.
 */
quecota_error_t quecota_check_storage(const quecota_storage_t *storage,
                                      quecota_storage_fault_t *fault);

#ifdef __cplusplus
}
#endif 

#endif  /* QUECOTA_H */
