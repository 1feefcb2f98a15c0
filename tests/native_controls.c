/* Cancel, hold module firmware back, ask for more time. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static fake_platform_t fake;
static quecota_t *device;
static int online, staged, failed, never;

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    (void)ctx;
    (void)value;
    (void)length;
    if (event == QUECOTA_EVENT_SUBSCRIBE && code == 10200) online = 1;
    if (event != QUECOTA_EVENT_OTA) return;
    if (code == QUECOTA_OTA_PLAN) CHECK_EQUAL(quecota_ota_action(device, QUECOTA_ACTION_CONFIRM), QUECOTA_OK);
    if (code == QUECOTA_OTA_DOWNLOADED) staged = 1;
    if (code == QUECOTA_OTA_FAILED) failed = 1;
}

static int state(void)
{
    quecota_progress_t progress;
    CHECK_EQUAL(quecota_ota_progress(device, &progress), QUECOTA_OK);
    return progress.state;
}

static void go_online(void)
{
    online = 0;
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    CHECK(fake_run(&fake, device, &online, 60000));
}

/* Runs for so long, whatever happens. */
static void pass(uint32_t milliseconds)
{
    fake_run(&fake, device, &never, milliseconds);
}

static void stage(void)
{
    staged = failed = 0;
    CHECK_EQUAL(quecota_ota_request(device, 0), QUECOTA_OK);
    CHECK(fake_run(&fake, device, &staged, 60000));
    CHECK_EQUAL(state(), 8);
}

int main(void)
{
    const uint32_t minute = 60000;
    quecota_config_t config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    config.event = on_event;
    fake_init(&fake);
    CHECK_EQUAL(quecota_ota_cancel(NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_ota_hold_apply(NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_ota_allow_apply(NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_ota_need_time(NULL, 1), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_ota_cancel(device), QUECOTA_ERROR_STARTED);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "1"), QUECOTA_OK);
    go_online();

    /* Without an upgrade there is nothing to cancel and nobody waits; holding back is right at any time. */
    CHECK_EQUAL(quecota_ota_cancel(device), QUECOTA_ERROR_STATE);
    CHECK_EQUAL(quecota_ota_need_time(device, 1), QUECOTA_ERROR_STATE);
    CHECK_EQUAL(quecota_ota_hold_apply(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_ota_allow_apply(device), QUECOTA_OK);

    /* More time, in bounds. */
    stage();
    CHECK_EQUAL(quecota_ota_need_time(device, 50 * minute + 1), QUECOTA_ERROR_RANGE);
    CHECK_EQUAL(quecota_ota_need_time(device, 10 * minute), QUECOTA_OK);
    pass(9 * minute);
    CHECK_EQUAL(state(), 8);
    CHECK_EQUAL(quecota_ota_need_time(device, 41 * minute), QUECOTA_ERROR_RANGE);
    pass(2 * minute);
    CHECK(failed);
    CHECK(fake_reported(&fake, 12));

    /* Cancelled, and reported. */
    fake.state_count = 0;
    stage();
    CHECK_EQUAL(quecota_ota_cancel(device), QUECOTA_OK);
    CHECK(!failed); /* told from quecota_poll(), as every event */
    pass(minute);
    CHECK(failed);
    CHECK_EQUAL(state(), 0);
    CHECK_EQUAL(quecota_ota_failure(device), QUECOTA_FAILURE_CANCELLED);
    CHECK(fake_reported(&fake, 12));
    CHECK_EQUAL(quecota_ota_cancel(device), QUECOTA_ERROR_STATE);

    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    puts("native_controls: passed");
    return 0;
}
