/* custom_transport: a device on a platform of its own, from the platform table to an upgraded MCU.
 *
 *     custom_transport --server mqtt://127.0.0.1:1883 --product-key PK --product-secret PS --folder device --flash mcu.bin
 *
 * The library is built without the feature `host`, as for a module: it has no network, no files and no threads. Those come from
 * port/: transport.c (MQTT by libmosquitto, HTTP by libcurl), storage.c (two files), system.c (clock, random numbers, log).
 * To make a port of your own, replace these one by one; this file stays nearly as it is.
 *
 * One task does everything: quecota_poll(), then transport_step(), again and again. So the table needs no lock.
 *
 * It may be killed at any moment: the library keeps the download (folder), mcu.c the half-written image (flash).
 */
#include "console.h"
#include "mcu.h"
#include "port/storage.h"
#include "port/system.h"
#include "port/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 1024 /* what fits a UART frame of the MCU */

static const char *server, *product_key, *product_secret, *device_key, *component, *version, *folder, *flash, *staging, *every,
    *ca_file;
static int once;

static const option_t options[] = {
    { "--server", "mqtt://host:port or mqtts://host:port", &server, NULL, NULL },
    { "--product-key", "of the product in the center", &product_key, NULL, NULL },
    { "--product-secret", "likewise", &product_secret, NULL, NULL },
    { "--device-key", "hardware id, 1 to 16 letters and digits", &device_key, NULL, "860000000000001" },
    { "--component", "component identifier of the MCU", &component, NULL, "STM32" },
    { "--version", "what a new MCU runs", &version, NULL, "1_0_0" },
    { "--folder", "where the module keeps its storage", &folder, NULL, NULL },
    { "--flash", "file that plays the flash of the MCU", &flash, NULL, NULL },
    { "--staging", "bytes of the image area, a multiple of 4096", &staging, NULL, "65536" },
    { "--request-every", "seconds between two questions for a plan", &every, NULL, "5" },
    { "--ca-file", "PEM file of trusted certificates; empty: those of the system", &ca_file, NULL, "" },
    { "--once", "end after one upgrade: 0 if it succeeded, 1 if not", NULL, &once, NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

typedef struct {
    quecota_t *device;
    mcu_t mcu;
    quecota_plan_t plan;
    quecota_download_t download;
    int is_restart_due; /* of the MCU */
    int has_ended;
    int has_succeeded;
} app_t;

static void on_plan(app_t *app)
{
    console_step("10700 plan component=%s from=%s to=%s", app->plan.component, app->plan.source_version, app->plan.target_version);
    /* Here an application looks whether now is a good time: battery, signal, is the machine at rest? */
    if (quecota_ota_action(app->device, strcmp(app->plan.component, component) == 0 ? QUECOTA_ACTION_CONFIRM
                                                                                    : QUECOTA_ACTION_REFUSE) != QUECOTA_OK)
        console_error("the plan cannot be answered now");
}

/* Copies one piece from the library to the MCU. Where it fails, nothing more is read, and within a minute the library ends the
 * upgrade as failed. */
static void on_piece(app_t *app, const quecota_piece_t *piece)
{
    uint8_t block[BLOCK];
    uint32_t offset = piece->start, end = piece->start + piece->length, count;

    console_step("10703 piece component=%s size=%lu start=%lu length=%lu", piece->component, (unsigned long)piece->total,
                 (unsigned long)piece->start, (unsigned long)piece->length);
    for (; offset < end; offset += count) {
        if (quecota_ota_read(app->device, offset, block, end - offset < BLOCK ? end - offset : BLOCK, &count) != QUECOTA_OK ||
            !mcu_write(&app->mcu, piece->total, offset, block, count))
            return;
        console_progress(offset + count, piece->total);
    }
    if (!mcu_sync(&app->mcu)) return;
    if (end < piece->total) {
        /* After a power cut the download goes on here. */
        (void)quecota_ota_checkpoint(app->device, end);
        (void)quecota_ota_action(app->device, QUECOTA_ACTION_NEXT);
    } else {
        char md5[33];
        int i;
        for (i = 0; i < 16; i++) (void)snprintf(md5 + 2 * i, 3, "%02x", app->download.md5[i]);
        if (mcu_accept(&app->mcu, piece->total, md5, app->plan.target_version))
            (void)quecota_ota_action(app->device, QUECOTA_ACTION_UPDATING);
    }
}

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    app_t *app = ctx;
    quecota_piece_t piece = { .size = sizeof piece };
    quecota_end_t end = { .size = sizeof end };

    if (event != QUECOTA_EVENT_OTA) {
        console_step("event %lu,%ld", (unsigned long)event, (long)code);
        return;
    }
    switch (code) {
    case QUECOTA_OTA_PLAN:
        app->plan.size = sizeof app->plan;
        if (quecota_parse_plan(value, length, &app->plan) == QUECOTA_OK) on_plan(app);
        break;
    case QUECOTA_OTA_START:
        app->download.size = sizeof app->download;
        if (quecota_parse_download(value, length, &app->download) != QUECOTA_OK) break;
        console_step("10701 download component=%s size=%lu", app->download.component, (unsigned long)app->download.total);
        mcu_begin(&app->mcu);
        break;
    case QUECOTA_OTA_DOWNLOADING:
        console_step("10702 downloading");
        break;
    case QUECOTA_OTA_DOWNLOADED:
        if (quecota_parse_piece(value, length, &piece) == QUECOTA_OK) on_piece(app, &piece);
        break;
    case QUECOTA_OTA_UPDATING:
        console_step("10704 updating");
        app->is_restart_due = 1; /* it takes its time: not in here */
        break;
    case QUECOTA_OTA_SUCCESS:
    case QUECOTA_OTA_FAILED:
        if (quecota_parse_end(app->device, code, &end) != QUECOTA_OK) break;
        if (end.succeeded)
            console_step("10705 updated");
        else
            console_step("10706 failed: %s", quecota_failure_text(end.failure));
        app->has_ended = 1;
        app->has_succeeded = end.succeeded;
        break;
    default:
        console_step("%ld", (long)code);
        break;
    }
}

/* Starts the MCU, which ends a change of slots, and tells the library what it runs. */
static int start_mcu(app_t *app)
{
    char running[MCU_VERSION_SIZE];

    if (!mcu_power_on(&app->mcu, running)) return 0;
    console_step("mcu component=%s version=%s", component, running);
    return quecota_set_mcu_version(app->device, component, running) == QUECOTA_OK;
}

/* Returns when one upgrade has ended and --once was given, or at a signal. */
static void run(app_t *app, transport_t *transport, uint32_t seconds)
{
    long next_request = 0, end = 0;
    quecota_progress_t progress;

    while (!console_is_interrupted() && (end == 0 || console_seconds() < end)) {
        uint32_t pause = quecota_poll(app->device);
        if (app->is_restart_due) {
            app->is_restart_due = 0;
            (void)start_mcu(app);
        }
        /* The report of the result is on its way while its event is here. */
        if (app->has_ended && once && end == 0) end = console_seconds() + 2;
        if (console_seconds() >= next_request && quecota_get_work_state(app->device) == QUECOTA_STATE_SUBSCRIBED &&
            quecota_ota_progress(app->device, &progress) == QUECOTA_OK && progress.state == 0 && end == 0) {
            if (quecota_ota_request(app->device, 0) == QUECOTA_OK) console_step("request an upgrade plan");
            next_request = console_seconds() + (long)seconds;
        }
        transport_step(transport, app->device, pause < 500 ? pause : 500);
    }
}

int main(int argc, char **argv)
{
    static quecota_memory_t memory;
    static uint8_t receive[QUECOTA_RECEIVE_MIN];
    static app_t app;
    transport_t *transport;
    storage_t storage;
    quecota_system_t system;
    quecota_platform_t platform = { sizeof platform, NULL, &storage.table, &system };
    quecota_config_t config = { sizeof config,    QUECOTA_DIALECT_2_10, receive, sizeof receive, on_event, &app,
                                QUECOTA_RESUME_ASK };
    quecota_error_t error;
    uint32_t image_size, seconds;
    int status;

    if (!console_options(options, argc, argv, &status)) return status;
    if (!console_number(staging, UINT32_MAX, &image_size) || !console_number(every, 86400, &seconds)) {
        console_error("--staging %s must be a number of bytes, --request-every %s of 0 to 86400 seconds", staging, every);
        return EXIT_FAILURE;
    }
    console_watch_signals();
    transport = transport_open(*ca_file ? ca_file : NULL);
    if (!transport || !storage_open(&storage, folder, image_size) || !mcu_open(&app.mcu, flash, version)) return EXIT_FAILURE;
    platform.transport = transport_table(transport);
    system_open(&system, device_key);

    error = quecota_init(&memory, sizeof memory, &config, &platform, &app.device);
    if (error == QUECOTA_OK) error = quecota_start(app.device);
    if (error == QUECOTA_OK) error = quecota_set_product(app.device, product_key, product_secret);
    if (error == QUECOTA_OK) error = quecota_set_server(app.device, server);
    if (error == QUECOTA_OK && !start_mcu(&app)) return EXIT_FAILURE;
    if (error == QUECOTA_OK) error = quecota_set_mode(app.device, QUECOTA_MODE_REQUEST);
    if (error != QUECOTA_OK) {
        console_error("%s", quecota_error_text(error));
        return EXIT_FAILURE;
    }
    run(&app, transport, seconds);

    (void)quecota_deinit(app.device);
    transport_close(transport);
    storage_close(&storage);
    return once && !app.has_succeeded ? EXIT_FAILURE : EXIT_SUCCESS;
}
