/* sota: firmware for an MCU over the air (SOTA), with the API of the QuecThing SDK, from the plan to the new version.
 *
 *     sota --server mqtt://127.0.0.1:1883 --product-key PK --product-secret PS --flash mcu.bin
 *
 * The MCU is played by files: mcu.c. A product writes to a UART there; everything here can stay as it is.
 *
 * It may be killed at any moment: the library keeps the download, mcu.c the half-written image and the version that runs.
 * One line per step goes to stdout; those of OTA events begin with the event's code.
 */
#define _POSIX_C_SOURCE 200809L

#include "Ql_iotApi.h"
#include "quecota.h" /* for --checkpoints only, which the QuecThing SDK does not have */

#include "console.h"
#include "mcu.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK               1024 /* what fits a UART frame of the MCU */
#define CHECKPOINT_INTERVAL (16 * 1024)
#define SILENCE_MAX         120 /* seconds; every state of an upgrade has an event or an end within a minute */
#define WORDS               8   /* the longest event text has six */

static const char *server, *product_key, *product_secret, *component, *first_version, *flash, *every;
static int checkpoints, once;

static const option_t options[] = {
    { "--server", "mqtt://host:port or mqtts://host:port", &server, NULL, NULL },
    { "--product-key", "of the product in Developer Center", &product_key, NULL, NULL },
    { "--product-secret", "likewise", &product_secret, NULL, NULL },
    { "--flash", "file that plays the flash of the MCU", &flash, NULL, NULL },
    { "--component", "component identifier of the MCU", &component, NULL, "STM32" },
    { "--version", "what a new MCU runs", &first_version, NULL, "1_0_0" },
    { "--request-every", "seconds between two questions for a plan", &every, NULL, "5" },
    { "--checkpoints", "keep the place in the image each 16 KB, to go on there after a power cut", NULL, &checkpoints, NULL },
    { "--once", "end after one upgrade: 0 if it succeeded, 1 if not", NULL, &once, NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static mcu_t mcu;
/* What is being installed. The event callback's own: the library calls it from one thread. */
static struct {
    char target[MCU_VERSION_SIZE], md5[33];
} upgrade;

/* What the event callback tells main(). */
enum { IDLE, RUNNING, RESTART_MCU, SUCCEEDED, FAILED };
static atomic_int phase = IDLE;
static atomic_long last_event;

static quint32_t number(const char *text)
{
    return (quint32_t)strtoul(text, NULL, 10);
}

/* "component","source version","target version",battery,signal,space */
static void on_plan(char **words)
{
    const char *asked = Quos_stringRemoveMarks(words[0]);
    int is_ours = strcmp(asked, component) == 0;

    (void)snprintf(upgrade.target, sizeof upgrade.target, "%s", Quos_stringRemoveMarks(words[2]));
    console_step("10700 plan component=%s from=%s to=%s battery=%s signal=%s space=%s", asked, Quos_stringRemoveMarks(words[1]),
                 upgrade.target, words[3], words[4], words[5]);
    /* Here an application looks whether now is a good time: battery, signal, is the machine at rest? */
    if (Ql_iotCmdOtaAction(is_ours ? 1 : 0) && is_ours)
        phase = RUNNING;
    else
        console_error("the plan for %s is not confirmed", asked);
}

/* "component",size,"md5",crc */
static void on_start(char **words)
{
    (void)snprintf(upgrade.md5, sizeof upgrade.md5, "%s", Quos_stringRemoveMarks(words[2]));
    console_step("10701 download component=%s size=%s md5=%s", Quos_stringRemoveMarks(words[0]), words[1], upgrade.md5);
    mcu_begin(&mcu);
}

/* "component",size,start,length. Where it fails, nothing more is read, and within a minute the library ends the upgrade. */
static void on_piece(char **words)
{
    quint8_t block[BLOCK];
    quint32_t size = number(words[1]), offset = number(words[2]), end = offset + number(words[3]), count;

    console_step("10703 piece component=%s size=%s start=%s length=%s", Quos_stringRemoveMarks(words[0]), words[1], words[2],
                 words[3]);
    for (; offset < end; offset += count) {
        /* The address counts from the start of the whole file, not of the piece. */
        count = Ql_iotCmdOtaMcuFWDataRead(offset, block, end - offset < BLOCK ? end - offset : BLOCK);
        if (count == 0 || !mcu_write(&mcu, size, offset, block, count)) return;
        console_progress(offset + count, size);
        if (checkpoints && (offset + count) % CHECKPOINT_INTERVAL == 0 && mcu_sync(&mcu))
            (void)quecota_ota_checkpoint(quecota_default_device(), offset + count);
    }
    /* Before the next piece is asked for: the library lets go of this one. */
    if (!mcu_sync(&mcu)) return;
    if (end < size)
        (void)Ql_iotCmdOtaAction(2);
    else if (mcu_accept(&mcu, size, upgrade.md5, upgrade.target))
        (void)Ql_iotCmdOtaAction(3);
}

static void on_event(quint32_t event, qint32_t code, const void *value, quint32_t length)
{
    char *words[WORDS] = { NULL };
    quint32_t count = 0;

    if (event != QIOT_ATEVENT_TYPE_OTA) {
        console_step("event %u,%d", event, code);
        return;
    }
    last_event = console_seconds();
    /* The value is ours to write on while we are in here. */
    if (code == QIOT_OTA_TASK_NOTIFY || code == QIOT_OTA_START || code == QIOT_OTA_DOWNLOADED)
        count = Quos_stringSplit((char *)(size_t)value, length, words, WORDS, ",", FALSE);
    if (code == QIOT_OTA_TASK_NOTIFY && count >= 6) {
        on_plan(words);
    } else if (code == QIOT_OTA_START && count >= 3) {
        on_start(words);
    } else if (code == QIOT_OTA_DOWNLOADING) {
        console_step("10702 downloading");
    } else if (code == QIOT_OTA_DOWNLOADED && count >= 4) {
        on_piece(words);
    } else if (code == QIOT_OTA_UPDATING) {
        console_step("10704 updating");
        phase = RESTART_MCU; /* it takes its time: main() does it, not the library's thread */
    } else if (code == QIOT_OTA_UPDATE_OK) {
        console_step("10705 updated");
        phase = SUCCEEDED;
    } else if (code == QIOT_OTA_UPDATE_FAIL) {
        console_step("10706 failed");
        phase = FAILED;
    } else {
        console_step("%d", code);
    }
}

/* Starts the MCU, which ends a change of slots, and reports what it runs: this decides whether an upgrade has succeeded. */
static int start_mcu(const char *what)
{
    char version[MCU_VERSION_SIZE];

    if (!mcu_power_on(&mcu, version)) return 0;
    console_step("mcu %s version=%s", what, version);
    if (Ql_iotConfigSetMcuVersion(component, version)) return 1;
    console_error("component %s or version %s is not accepted", component, version);
    return 0;
}

static void sleep_milliseconds(long milliseconds)
{
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    (void)nanosleep(&time, NULL);
}

/* Returns when one upgrade has ended and --once was given (its exit code), or at a signal. */
static int run(long seconds)
{
    long next_request = 0;

    for (; !console_is_interrupted(); sleep_milliseconds(100)) {
        int now = phase;
        if (now == RESTART_MCU) {
            phase = RUNNING;
            (void)start_mcu("restarted");
        } else if ((now == SUCCEEDED || now == FAILED) && once) {
            sleep_milliseconds(2000); /* the report of the result is on its way while its event is here */
            return now == SUCCEEDED ? EXIT_SUCCESS : EXIT_FAILURE;
        } else if (now == RUNNING && console_seconds() - last_event <= SILENCE_MAX) {
            continue;
        } else if (Ql_iotGetWorkState() == QIOT_STATE_SUBSCRIBED && console_seconds() >= next_request) {
            phase = IDLE;
            if (Ql_iotCmdOtaRequest(0)) console_step("request an upgrade plan");
            next_request = console_seconds() + seconds;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    quint32_t seconds;
    int result;

    if (!console_options(options, argc, argv, &result)) return result;
    if (!console_number(every, 86400, &seconds)) {
        console_error("--request-every %s: must be 0 to 86400 seconds", every);
        return EXIT_FAILURE;
    }
    console_watch_signals();
    if (!mcu_open(&mcu, flash, first_version) || !Ql_iotInit()) return EXIT_FAILURE;
    Ql_iotConfigSetEventCB(on_event);
    /* Each of these says in the log what it refuses. */
    if (!Ql_iotConfigSetProductinfo(product_key, product_secret) || !Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, server) ||
        !start_mcu("started") || !Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ))
        return EXIT_FAILURE;
    result = run((long)seconds);
    (void)Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE);
    return result;
}
