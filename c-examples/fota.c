/* fota: firmware for the module itself over the air (FOTA), on a platform of its own: apply, restart, report.
 *
 *     fota --server mqtt://127.0.0.1:1883 --product-key PK --product-secret PS --folder device
 *
 * The library downloads and verifies the whole image by itself; the application only confirms the plan. Then the library calls
 * apply() of the platform table, and the module must restart into the new firmware. Its version decides whether it has worked.
 *
 * The module is played by files: FOLDER/module.bin is the firmware that runs, whose first line is its version, FOLDER/module.new
 * the one that apply() has accepted, which the boot loader starts at the next restart. A restart is an exec of this program.
 * The port is that of custom_transport.c.
 */
#define _POSIX_C_SOURCE 200809L

#include "console.h"
#include "port/storage.h"
#include "port/system.h"
#include "port/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION_SIZE    65
#define RESTART_MS      300 /* until the restart: time enough for the library to store what it did */
#define UNKNOWN_VERSION "factory"

static const char *server, *product_key, *product_secret, *device_key, *folder, *every;

static const option_t options[] = {
    { "--server", "mqtt://host:port or mqtts://host:port", &server, NULL, NULL },
    { "--product-key", "of the product in the center", &product_key, NULL, NULL },
    { "--product-secret", "likewise", &product_secret, NULL, NULL },
    { "--device-key", "hardware id, 1 to 16 letters and digits", &device_key, NULL, "860000000000001" },
    { "--folder", "where the module keeps its storage and its firmware", &folder, NULL, NULL },
    { "--request-every", "seconds between two questions for a plan", &every, NULL, "5" },
    { NULL, NULL, NULL, NULL, NULL },
};

typedef struct {
    quecota_t *device;
    storage_t storage;
    char version[VERSION_SIZE]; /* of the firmware that runs */
    int is_restart_due;
    int has_ended, has_succeeded;
} module_t;

static module_t module;

static const char *path_of(const char *name)
{
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ------------------------------------------------------------------------------------------- what the table has for a module */

static const char *module_version(void *ctx)
{
    (void)ctx;
    return module.version;
}

/* The first `length` bytes of the image area are verified. A module hands them to its boot loader, or marks their slot; this one
 * copies them. A negative number refuses the image, and the upgrade fails with QUECOTA_FAILURE_APPLY_REFUSED. */
static int32_t apply(void *ctx, uint32_t length)
{
    uint8_t block[4096];
    uint32_t offset, count;
    FILE *file = fopen(path_of("module.draft"), "wb");
    int is_good = file != NULL;
    char draft[1024];

    (void)ctx;
    for (offset = 0; is_good && offset < length; offset += count) {
        count = length - offset < sizeof block ? length - offset : (uint32_t)sizeof block;
        is_good = module.storage.table.read(&module.storage, QUECOTA_AREA_IMAGE, offset, block, count) == QUECOTA_STORAGE_OK &&
                  fwrite(block, 1, count, file) == count;
    }
    is_good = is_good && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file) (void)fclose(file);
    (void)snprintf(draft, sizeof draft, "%s", path_of("module.draft"));
    /* It appears whole or not at all: a power cut in here costs nothing, because the library calls again. */
    if (!is_good || rename(draft, path_of("module.new")) != 0) {
        console_error("the image of %lu bytes cannot be stored", (unsigned long)length);
        return -1;
    }
    console_step("apply %lu bytes", (unsigned long)length);
    module.is_restart_due = 1;
    return RESTART_MS;
}

/* What a boot loader does: starts the new firmware where there is one, and knows its version. */
static void boot(void)
{
    char accepted[1024];
    FILE *file;

    (void)snprintf(accepted, sizeof accepted, "%s", path_of("module.new"));
    if (access(accepted, F_OK) == 0 && rename(accepted, path_of("module.bin")) != 0) console_error("%s cannot be started", accepted);
    (void)strcpy(module.version, UNKNOWN_VERSION);
    file = fopen(path_of("module.bin"), "rb");
    if (file && fgets(module.version, sizeof module.version, file)) module.version[strcspn(module.version, "\r\n")] = '\0';
    if (file) (void)fclose(file);
    console_step("boot version=%s", module.version);
}

/* ----------------------------------------------------------------------------------------------------------- the application */

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    quecota_plan_t plan = { .size = sizeof plan };

    (void)ctx;
    if (event != QUECOTA_EVENT_OTA) return;
    switch (code) {
    case QUECOTA_OTA_PLAN:
        if (quecota_parse_plan(value, length, &plan) != QUECOTA_OK) break;
        console_step("10700 plan component=%s from=%s to=%s", plan.component, plan.source_version, plan.target_version);
        /* Is this a good time for a restart? If it may not be one later: quecota_ota_hold_apply(). */
        (void)quecota_ota_action(module.device, QUECOTA_ACTION_CONFIRM);
        break;
    case QUECOTA_OTA_SUCCESS:
    case QUECOTA_OTA_FAILED:
        module.has_ended = 1;
        module.has_succeeded = code == QUECOTA_OTA_SUCCESS;
        console_step("%ld %s", (long)code, quecota_failure_text(quecota_ota_failure(module.device)));
        break;
    default:
        console_step("%ld", (long)code);
        break;
    }
}

/* Until the module restarts, an upgrade has ended, or a signal comes. */
static void run(transport_t *transport, uint32_t seconds)
{
    long next_request = 0, end = 0;
    quecota_progress_t progress;

    while (!console_is_interrupted() && (end == 0 || console_seconds() < end)) {
        uint32_t pause = quecota_poll(module.device);
        if (module.is_restart_due) return;
        /* The report of the result is on its way while its event is here. */
        if (module.has_ended && end == 0) end = console_seconds() + 2;
        if (end == 0 && console_seconds() >= next_request && quecota_get_work_state(module.device) == QUECOTA_STATE_SUBSCRIBED &&
            quecota_ota_progress(module.device, &progress) == QUECOTA_OK && progress.state == 0) {
            if (quecota_ota_request(module.device, 0) == QUECOTA_OK) console_step("request an upgrade plan");
            next_request = console_seconds() + (long)seconds;
        }
        transport_step(transport, module.device, pause < 500 ? pause : 500);
    }
}

int main(int argc, char **argv)
{
    static quecota_memory_t memory;
    static uint8_t receive[QUECOTA_RECEIVE_MIN];
    transport_t *transport;
    quecota_system_t system;
    quecota_platform_t platform = { .size = sizeof platform, .storage = &module.storage.table, .system = &system };
    quecota_config_t config = { .size = sizeof config, .receive = receive, .receive_size = sizeof receive, .event = on_event };
    quecota_error_t error;
    uint32_t seconds;
    int status;

    if (!console_options(options, argc, argv, &status)) return status;
    if (!console_number(every, 86400, &seconds)) {
        console_error("--request-every %s: must be 0 to 86400 seconds", every);
        return EXIT_FAILURE;
    }
    console_watch_signals();
    transport = transport_open(NULL);
    /* Module firmware must fit the image area whole. */
    if (!transport || !storage_open(&module.storage, folder, 1024 * 1024)) return EXIT_FAILURE;
    boot();
    platform.transport = transport_table(transport);
    system_open(&system, device_key);
    system.module_version = module_version;
    system.apply = apply;

    error = quecota_init(&memory, sizeof memory, &config, &platform, &module.device);
    if (error == QUECOTA_OK) error = quecota_start(module.device);
    if (error == QUECOTA_OK) error = quecota_set_product(module.device, product_key, product_secret);
    if (error == QUECOTA_OK) error = quecota_set_server(module.device, server);
    if (error == QUECOTA_OK) error = quecota_set_mode(module.device, QUECOTA_MODE_REQUEST);
    if (error != QUECOTA_OK) {
        console_error("%s", quecota_error_text(error));
        return EXIT_FAILURE;
    }
    run(transport, seconds);

    (void)quecota_deinit(module.device);
    transport_close(transport);
    storage_close(&module.storage);
    if (module.is_restart_due) {
        console_step("restart");
        (void)execv("/proc/self/exe", argv);
        console_error("the restart fails");
    }
    return module.has_succeeded ? EXIT_SUCCESS : EXIT_FAILURE;
}
