/* minimal: the least that upgrades an MCU, with the native API on the library's own platform for Linux.
 *
 *     minimal mqtt://127.0.0.1:1883 PRODUCT-KEY PRODUCT-SECRET mcu.bin
 *
 * What comes for the MCU is written to a file, and the MCU is believed to run it. sota.c shows what a product does besides. */
#define _POSIX_C_SOURCE 200809L

#include "quecota.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define COMPONENT "STM32"

static quecota_memory_t memory;              /* the device lives here */
static uint8_t receive[QUECOTA_RECEIVE_MIN]; /* messages wait here until they are handled */
static quecota_t *device;
static FILE *mcu;
static quecota_plan_t plan;
static atomic_int has_ended; /* 1: well, 2: not; by another thread than main()'s */

/* A piece of the image is staged: read it, write it, ask for the next one. */
static void on_piece(const quecota_piece_t *piece)
{
    uint8_t block[512];
    uint32_t offset = piece->start, end = piece->start + piece->length, count;

    printf("piece %lu to %lu of %lu\n", (unsigned long)offset, (unsigned long)end, (unsigned long)piece->total);
    if (fseek(mcu, (long)offset, SEEK_SET) != 0) return;
    for (; offset < end; offset += count) {
        uint32_t wanted = end - offset < sizeof block ? end - offset : (uint32_t)sizeof block;
        /* Where this fails, nothing more is read, and within a minute the library ends the upgrade as failed. */
        if (quecota_ota_read(device, offset, block, wanted, &count) != QUECOTA_OK || fwrite(block, 1, count, mcu) != count) return;
    }
    if (fflush(mcu) == 0) (void)quecota_ota_action(device, end < piece->total ? QUECOTA_ACTION_NEXT : QUECOTA_ACTION_UPDATING);
}

/* Called by the task that polls, with no lock held: every call but quecota_poll() and quecota_deinit() may be made. */
static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    quecota_piece_t piece = { .size = sizeof piece };
    quecota_end_t end = { .size = sizeof end };

    (void)ctx;
    if (event == QUECOTA_EVENT_SUBSCRIBE && code == 10200) (void)quecota_ota_request(device, 0); /* online: is there a plan? */
    if (event != QUECOTA_EVENT_OTA) return;
    switch (code) {
    case QUECOTA_OTA_PLAN:
        plan.size = sizeof plan;
        if (quecota_parse_plan(value, length, &plan) != QUECOTA_OK) break;
        printf("plan: %s from %s to %s\n", plan.component, plan.source_version, plan.target_version);
        (void)quecota_ota_action(device, QUECOTA_ACTION_CONFIRM);
        break;
    case QUECOTA_OTA_DOWNLOADED:
        if (quecota_parse_piece(value, length, &piece) == QUECOTA_OK) on_piece(&piece);
        break;
    case QUECOTA_OTA_UPDATING:
        /* The MCU would be restarted here. That it reports the target version is what ends the upgrade. */
        (void)quecota_set_mcu_version(device, plan.component, plan.target_version);
        break;
    case QUECOTA_OTA_SUCCESS:
    case QUECOTA_OTA_FAILED:
        if (quecota_parse_end(device, code, &end) != QUECOTA_OK) break;
        printf("%s\n", end.succeeded ? "upgraded" : quecota_failure_text(end.failure));
        has_ended = end.succeeded ? 1 : 2;
        break;
    default:
        break;
    }
    fflush(stdout);
}

static void sleep_milliseconds(uint32_t milliseconds)
{
    struct timespec time = { (time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000L };
    (void)nanosleep(&time, NULL);
}

int main(int argc, char **argv)
{
    quecota_config_t config = { .size = sizeof config, .receive = receive, .receive_size = sizeof receive, .event = on_event };
    quecota_error_t error;

    if (argc != 5 || (mcu = fopen(argv[4], "wb")) == NULL) {
        fprintf(stderr, "usage: minimal mqtt://HOST:PORT PRODUCT-KEY PRODUCT-SECRET FILE\n");
        return 1;
    }
    /* A port hands in its own table instead of quecota_default_platform(). */
    error = quecota_init(&memory, sizeof memory, &config, quecota_default_platform(), &device);
    if (error == QUECOTA_OK) error = quecota_start(device);
    if (error == QUECOTA_OK) error = quecota_set_product(device, argv[2], argv[3]);
    if (error == QUECOTA_OK) error = quecota_set_server(device, argv[1]);
    if (error == QUECOTA_OK) error = quecota_set_mcu_version(device, COMPONENT, "1_0_0");
    if (error == QUECOTA_OK) error = quecota_set_mode(device, QUECOTA_MODE_REQUEST);
    if (error != QUECOTA_OK) {
        fprintf(stderr, "minimal: %s\n", quecota_error_text(error));
        return 1;
    }
    /* The platform for Linux polls in a thread of its own. A port polls here: sleep_milliseconds(quecota_poll(device)). */
    while (!has_ended) sleep_milliseconds(100);
    sleep_milliseconds(2000); /* the report of the result is on its way while its event is here */
    (void)quecota_deinit(device);
    return fclose(mcu) == 0 && has_ended == 1 ? 0 : 1;
}
