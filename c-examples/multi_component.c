/* multi_component: one plan that upgrades two MCUs, with the native API on the library's own platform for Linux.
 *
 *     multi_component --server mqtt://127.0.0.1:1883 --product-key PK --product-secret PS --flash folder/flash
 *
 * A plan of several components comes as one offer (10700) for each, then one answer (10707) for all of them. Then they are upgraded
 * one after another: the name in 10701 says whose turn it is, that in 10703 where a piece goes. Each MCU has its own flash
 * (FLASH.display and FLASH.sensor). */
#define _POSIX_C_SOURCE 200809L

#include "quecota.h"

#include "console.h"
#include "mcu.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COMPONENTS = 2 };

static const char *server, *product_key, *product_secret, *flash, *every;

static const option_t options[] = {
    { "--server", "mqtt://host:port or mqtts://host:port", &server, NULL, NULL },
    { "--product-key", "of the product in the center", &product_key, NULL, NULL },
    { "--product-secret", "likewise", &product_secret, NULL, NULL },
    { "--flash", "files that play the flash of the MCUs begin so", &flash, NULL, NULL },
    { "--request-every", "seconds between two questions for a plan", &every, NULL, "5" },
    { NULL, NULL, NULL, NULL, NULL },
};

typedef struct {
    const char *name;
    mcu_t mcu;
    quecota_plan_t plan;
    quecota_download_t download;
    atomic_int has_ended; /* 1: it has its target version, -1: it failed */
} component_t;

static component_t components[COMPONENTS] = { { .name = "display" }, { .name = "sensor" } };
static quecota_t *device;
static component_t *current; /* whose turn it is; the event callback's own */

/* NULL: we have no such component. */
static component_t *component_of(const char *name)
{
    int i;
    for (i = 0; i < COMPONENTS; i++)
        if (strcmp(components[i].name, name) == 0) return &components[i];
    return NULL;
}

/* Starts the MCU and reports what it runs. */
static int start_mcu(component_t *component)
{
    char version[MCU_VERSION_SIZE];
    if (!mcu_power_on(&component->mcu, version)) return 0;
    console_step("mcu component=%s version=%s", component->name, version);
    return quecota_set_mcu_version(device, component->name, version) == QUECOTA_OK;
}

static void on_piece(const component_t *component, const quecota_piece_t *piece)
{
    uint8_t block[1024];
    char md5[33];
    uint32_t offset = piece->start, end = piece->start + piece->length, count;
    int i;

    console_step("10703 piece component=%s start=%lu length=%lu", piece->component, (unsigned long)piece->start,
                 (unsigned long)piece->length);
    for (; offset < end; offset += count) {
        uint32_t wanted = end - offset < sizeof block ? end - offset : (uint32_t)sizeof block;
        if (quecota_ota_read(device, offset, block, wanted, &count) != QUECOTA_OK ||
            !mcu_write(&component->mcu, piece->total, offset, block, count))
            return;
    }
    if (!mcu_sync(&component->mcu)) return;
    if (end < piece->total) {
        (void)quecota_ota_action(device, QUECOTA_ACTION_NEXT);
        return;
    }
    for (i = 0; i < 16; i++) (void)snprintf(md5 + 2 * i, 3, "%02x", component->download.md5[i]);
    if (mcu_accept(&component->mcu, piece->total, md5, component->plan.target_version))
        (void)quecota_ota_action(device, QUECOTA_ACTION_UPDATING);
}

static void on_plan(const quecota_plan_t *plan)
{
    component_t *component = component_of(plan->component);

    console_step("10700 plan component=%s from=%s to=%s", plan->component, plan->source_version, plan->target_version);
    if (component) component->plan = *plan;
    (void)quecota_ota_action(device, component ? QUECOTA_ACTION_CONFIRM : QUECOTA_ACTION_REFUSE);
}

static void on_download(const quecota_download_t *download)
{
    console_step("10701 download component=%s size=%lu", download->component, (unsigned long)download->total);
    current = component_of(download->component);
    if (!current) return;
    current->download = *download;
    mcu_begin(&current->mcu);
}

static void on_ota(int32_t code, void *value, uint32_t length)
{
    quecota_plan_t plan = { .size = sizeof plan };
    quecota_download_t download = { .size = sizeof download };
    quecota_piece_t piece = { .size = sizeof piece };
    quecota_end_t end = { .size = sizeof end };

    switch (code) {
    case QUECOTA_OTA_PLAN:
        if (quecota_parse_plan(value, length, &plan) == QUECOTA_OK) on_plan(&plan);
        break;
    case QUECOTA_OTA_START:
        if (quecota_parse_download(value, length, &download) == QUECOTA_OK) on_download(&download);
        break;
    case QUECOTA_OTA_DOWNLOADED:
        if (quecota_parse_piece(value, length, &piece) == QUECOTA_OK && component_of(piece.component))
            on_piece(component_of(piece.component), &piece);
        break;
    case QUECOTA_OTA_UPDATING:
        console_step("10704 updating");
        if (current) (void)start_mcu(current); /* what takes longer than this is done by another task */
        break;
    case QUECOTA_OTA_SUCCESS:
    case QUECOTA_OTA_FAILED:
        if (quecota_parse_end(device, code, &end) != QUECOTA_OK) break;
        console_step("%ld component=%s %s", (long)code, end.component, quecota_failure_text(end.failure));
        if (component_of(end.component)) component_of(end.component)->has_ended = end.succeeded ? 1 : -1;
        break;
    default:
        console_step("%ld", (long)code);
        break;
    }
}

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    (void)ctx;
    if (event == QUECOTA_EVENT_OTA)
        on_ota(code, value, length);
    else
        console_step("event %lu,%ld", (unsigned long)event, (long)code);
}

static void sleep_milliseconds(long milliseconds)
{
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    (void)nanosleep(&time, NULL);
}

/* Whether every component has ended, and all of them well. */
static int all_have_ended(int *well)
{
    int i, ended = 0;
    *well = 1;
    for (i = 0; i < COMPONENTS; i++) {
        int result = components[i].has_ended;
        ended += result != 0;
        if (result < 0) *well = 0;
    }
    return ended == COMPONENTS || !*well;
}

int main(int argc, char **argv)
{
    static quecota_memory_t memory;
    static uint8_t receive[QUECOTA_RECEIVE_MIN];
    quecota_config_t config = { .size = sizeof config, .receive = receive, .receive_size = sizeof receive, .event = on_event };
    quecota_progress_t progress;
    quecota_error_t error;
    uint32_t seconds;
    long next_request = 0;
    int i, status, well = 0;

    if (!console_options(options, argc, argv, &status)) return status;
    if (!console_number(every, 86400, &seconds)) {
        console_error("--request-every %s: must be 0 to 86400 seconds", every);
        return EXIT_FAILURE;
    }
    console_watch_signals();
    error = quecota_init(&memory, sizeof memory, &config, quecota_default_platform(), &device);
    if (error == QUECOTA_OK) error = quecota_start(device);
    if (error == QUECOTA_OK) error = quecota_set_product(device, product_key, product_secret);
    if (error == QUECOTA_OK) error = quecota_set_server(device, server);
    for (i = 0; i < COMPONENTS && error == QUECOTA_OK; i++) {
        char path[MCU_PATH_SIZE];
        (void)snprintf(path, sizeof path, "%s.%s", flash, components[i].name);
        if (!mcu_open(&components[i].mcu, path, "1_0_0") || !start_mcu(&components[i])) return EXIT_FAILURE;
    }
    if (error == QUECOTA_OK) error = quecota_set_mode(device, QUECOTA_MODE_REQUEST);
    if (error != QUECOTA_OK) {
        console_error("%s", quecota_error_text(error));
        return EXIT_FAILURE;
    }
    for (; !console_is_interrupted() && !all_have_ended(&well); sleep_milliseconds(100)) {
        if (quecota_get_work_state(device) != QUECOTA_STATE_SUBSCRIBED || console_seconds() < next_request ||
            quecota_ota_progress(device, &progress) != QUECOTA_OK || progress.state != 0)
            continue;
        if (quecota_ota_request(device, 0) == QUECOTA_OK) console_step("request an upgrade plan");
        next_request = console_seconds() + (long)seconds;
    }
    sleep_milliseconds(2000); /* the report of the result is on its way while its event is here */
    (void)quecota_deinit(device);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
