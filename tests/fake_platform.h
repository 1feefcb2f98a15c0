/* A platform for tests: flash in memory, a clock that the test sets, and a cloud that answers from a script.
 *
 * As in a port, the functions of the table only note what is asked for; fake_answer() does it afterwards, as an interrupt
 * or a network task would. Nothing waits and nothing is random, so every run is the same. */
#ifndef FAKE_PLATFORM_H
#define FAKE_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#include "quecota.h"

#define FAKE_FIRMWARE_SIZE 100000u
#define FAKE_FIRMWARE_MD5 "0cf4afe98fb03b112088f65fb37640ee"
#define FAKE_FIRMWARE_CRC32 "9b0a408f"
#define FAKE_FIRMWARE_CRC32_DECIMAL "2601140367"
#define FAKE_IMAGE_SIZE 32768u
#define FAKE_JOURNAL_SIZE 16384u
#define FAKE_STATES 64
#define FAKE_FRAMES 64

/* A frame that the device sent. */
typedef struct {
    unsigned command, packet, qos;
    char leaf[8];
    size_t length;
    uint8_t payload[2048];
} fake_frame_t;

typedef struct {
    /* Milliseconds since the device started. */
    uint32_t now;
    /* The lock: 0 or 1, never more. */
    int locked;
    /* Calls of wake(). */
    unsigned wakes;
    /* Last log line, and the first ones, each with a line end. */
    char line[256];
    char lines[4096];
    /* What device_key() answers; NULL: 860000000000001. */
    const char *hardware_id;

    /* The device that quecota_start() handed to run(). */
    quecota_t *device;

    uint8_t image[FAKE_IMAGE_SIZE];
    uint8_t journal[FAKE_JOURNAL_SIZE];

    /* What was asked for and not answered yet. */
    int connect, subscribe, fetch, plan, firmware, provision;
    int sent;
    uint16_t sent_id;
    uint32_t fetch_start, fetch_length, fetch_done;

    /* What happened. */
    char password[300];
    char client_id[80];
    int user_name_given;
    unsigned connects, fetches, disconnects;
    uint32_t fetched;
    int states[FAKE_STATES];
    size_t state_count;
    char mcu_list[256];
    fake_frame_t frames[FAKE_FRAMES]; /* the last ones, frame_count in all */
    size_t frame_count;

    /* Scripts. */
    int deliver_broken; /* every fetch breaks off in the middle, that many times */
    uint16_t http_status;
    const char *http_encoding;
    uint32_t http_retry_after;
    /* Called by the log function, with the lock held. */
    void (*in_log)(quecota_t *device);

    quecota_transport_t transport;
    quecota_storage_t storage;
    quecota_system_t system;
    quecota_platform_t platform;
} fake_platform_t;

/* A platform whose flash is erased and whose device was never online. */
void fake_init(fake_platform_t *fake);

/* The same device after a reboot: what is in flash stays. */
void fake_reboot(fake_platform_t *fake);

/* Answers what was asked for. Returns 1 if there was something. */
int fake_answer(fake_platform_t *fake, quecota_t *device);

/* The firmware that the cloud has. */
uint8_t fake_firmware(uint32_t offset);

/* Polls, answers and turns the clock until *done or `milliseconds` have passed. Returns *done. */
int fake_run(fake_platform_t *fake, quecota_t *device, const int *done, uint32_t milliseconds);

/* Whether the device reported this state to the cloud. */
int fake_reported(const fake_platform_t *fake, int state);

/* Sends a message of the cloud to the device. */
quecota_error_t fake_send(quecota_t *device, const fake_platform_t *fake, uint16_t command, const uint8_t *payload, size_t length);

/* The newest frame with this command; NULL: none was sent. */
const fake_frame_t *fake_last(const fake_platform_t *fake, unsigned command);

/* Ends the test with a line that says what is not so. */
#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) fake_fail(__FILE__, __LINE__, #condition);                                                   \
    } while (0)
#define CHECK_EQUAL(left, right)                                                                                      \
    do {                                                                                                              \
        long long left_ = (long long)(left), right_ = (long long)(right);                                             \
        if (left_ != right_) fake_fail_equal(__FILE__, __LINE__, #left, left_, #right, right_);                        \
    } while (0)
void fake_fail(const char *file, int line, const char *what);
void fake_fail_equal(const char *file, int line, const char *left, long long a, const char *right, long long b);

#endif
