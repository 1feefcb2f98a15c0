/* Power fails in an MCU upgrade whose application sets checkpoints: what is before the checkpoint is not fetched again. */
#include "fake_platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static fake_platform_t fake;
static quecota_t *device;

/* The MCU's own flash, and how much of it is written. Survives what the module does not. */
static uint8_t mcu[FAKE_FIRMWARE_SIZE];
static uint32_t written;

static int done, failed, stop, restarted;
static uint32_t first_start, power_goes_at;

static void on_piece(const char *text)
{
    unsigned size, start, length;
    uint32_t count, checkpoint;
    CHECK_EQUAL(sscanf(text, "\"MCU\",%u,%u,%u", &size, &start, &length), 3);
    CHECK(start <= written);
    if (first_start == UINT32_MAX) first_start = start;
    written = start;
    CHECK_EQUAL(quecota_ota_checkpoint(device, start + length + 1), QUECOTA_ERROR_RANGE);
    while (written < start + length) {
        CHECK_EQUAL(quecota_ota_read(device, written, mcu + written, 1000 - written % 1000, &count), QUECOTA_OK);
        written += count;
        if (written % 5000 == 0) {
            CHECK_EQUAL(quecota_ota_checkpoint(device, written), QUECOTA_OK);
            CHECK_EQUAL(quecota_ota_get_checkpoint(device, &checkpoint), QUECOTA_OK);
            CHECK_EQUAL(checkpoint, written);
            if (written == power_goes_at) {
                stop = 1;
                return;
            }
        }
    }
    CHECK_EQUAL(quecota_ota_checkpoint(device, written), QUECOTA_OK);
    CHECK_EQUAL(quecota_ota_action(device, written < size ? QUECOTA_ACTION_NEXT : QUECOTA_ACTION_UPDATING), QUECOTA_OK);
}

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    (void)ctx;
    (void)length;
    if (event != QUECOTA_EVENT_OTA || stop) return;
    switch (code) {
    case QUECOTA_OTA_PLAN:
        CHECK(!restarted); /* what was confirmed goes on by itself */
        CHECK_EQUAL(quecota_ota_action(device, QUECOTA_ACTION_CONFIRM), QUECOTA_OK);
        break;
    case QUECOTA_OTA_DOWNLOADED:
        on_piece(value);
        break;
    case QUECOTA_OTA_UPDATING:
        CHECK_EQUAL(quecota_ota_checkpoint(device, 0), QUECOTA_ERROR_STATE);
        CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "2"), QUECOTA_OK);
        break;
    case QUECOTA_OTA_SUCCESS:
        done = 1;
        break;
    case QUECOTA_OTA_FAILED:
        failed = done = 1;
        break;
    default:
        break;
    }
}

static void power_on(void)
{
    quecota_config_t config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    config.event = on_event;
    config.resume = restarted ? QUECOTA_RESUME_AT_ONCE : QUECOTA_RESUME_ASK;
    stop = 0;
    first_start = UINT32_MAX;
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "1"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
}

int main(void)
{
    const uint32_t lives[] = {15000, 45000, 80000, 0};
    uint32_t checkpoint = 1, fetched = 0;
    fake_init(&fake);
    CHECK_EQUAL(quecota_ota_checkpoint(NULL, 0), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_ota_get_checkpoint(NULL, &checkpoint), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(checkpoint, 0);

    for (size_t life = 0; life < sizeof lives / sizeof *lives; life++) {
        power_goes_at = lives[life];
        restarted = life > 0;
        power_on();
        CHECK_EQUAL(quecota_ota_get_checkpoint(device, NULL), QUECOTA_ERROR_NULL);
        CHECK_EQUAL(quecota_ota_get_checkpoint(device, &checkpoint), QUECOTA_OK);
        CHECK_EQUAL(checkpoint, life ? lives[life - 1] : 0);
        if (life == 0) {
            CHECK_EQUAL(quecota_ota_checkpoint(device, 0), QUECOTA_ERROR_STATE);
            for (int poll = 0; poll < 100; poll++) {
                quecota_poll(device);
                fake_answer(&fake, device);
            }
            CHECK_EQUAL(quecota_ota_request(device, 0), QUECOTA_OK);
        }
        CHECK(fake_run(&fake, device, power_goes_at ? &stop : &done, 600000));
        CHECK(!failed);
        CHECK_EQUAL(first_start, checkpoint);
        fetched += fake.fetched;
        if (power_goes_at) fake_reboot(&fake); /* without a goodbye of the library */
    }
    CHECK_EQUAL(written, FAKE_FIRMWARE_SIZE);
    for (uint32_t i = 0; i < FAKE_FIRMWARE_SIZE; i++) CHECK_EQUAL(mcu[i], fake_firmware(i));
    CHECK_EQUAL(fetched, FAKE_FIRMWARE_SIZE); /* whole pieces were staged, so nothing came again */
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    puts("native_checkpoint: passed");
    return 0;
}
