/* What a port with an HTTP client of its own tells by quecota_on_fetch_head() besides status and range: Retry-After, which is
 * waited for, and Content-Encoding, of which only identity is taken. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static fake_platform_t fake;
static quecota_t *device;
static int online, staged, never;

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    (void)ctx;
    (void)value;
    (void)length;
    if (event == QUECOTA_EVENT_SUBSCRIBE && code == 10200) online = 1;
    if (event != QUECOTA_EVENT_OTA) return;
    if (code == QUECOTA_OTA_PLAN) CHECK_EQUAL(quecota_ota_action(device, QUECOTA_ACTION_CONFIRM), QUECOTA_OK);
    if (code == QUECOTA_OTA_DOWNLOADED) staged = 1;
}

static void pass(uint32_t seconds)
{
    fake_run(&fake, device, &never, seconds * 1000);
}

/* Runs until the next request was made and answered; how long that took, seconds. */
static uint32_t next_fetch(void)
{
    unsigned before = fake.fetches;
    uint32_t begin = fake.now;
    while (fake.fetches == before) {
        pass(1);
        CHECK(fake.now - begin < 10000u * 1000);
    }
    pass(1);
    return (fake.now - begin) / 1000;
}

static uint16_t failure(void)
{
    return quecota_ota_failure(device);
}

/* An image that waits for its next try, with nothing under way and the server's answer to it. */
static void answer(uint16_t status, const char *encoding, uint32_t retry_after)
{
    fake.http_status = status;
    fake.http_encoding = encoding;
    fake.http_retry_after = retry_after;
}

static void refused_heads(void)
{
    quecota_fetch_head_t head;
    memset(&head, 0, sizeof head);
    head.status = 206;
    CHECK_EQUAL(quecota_on_fetch_head(device, &head), QUECOTA_FLOW_STOP); /* no size */
    CHECK(strstr(fake.line, "quecota_on_fetch_head") && strstr(fake.line, "head"));
    head.size = sizeof head - 1;
    CHECK_EQUAL(quecota_on_fetch_head(device, &head), QUECOTA_FLOW_STOP);
    head.size = sizeof head;
    head.content_encoding = "gzip\xff";
    CHECK_EQUAL(quecota_on_fetch_head(device, &head), QUECOTA_FLOW_STOP);
    head.content_encoding = NULL;
    CHECK_EQUAL(quecota_on_fetch_head(device, &head), QUECOTA_FLOW_STOP); /* nothing is fetched */
    CHECK_EQUAL(quecota_on_fetch_head(NULL, &head), QUECOTA_FLOW_STOP);
}

int main(void)
{
    quecota_config_t config;
    uint32_t waited;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    config.event = on_event;
    fake_init(&fake);
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "1"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    CHECK(fake_run(&fake, device, &online, 60000));
    refused_heads();

    answer(503, NULL, 120);
    CHECK_EQUAL(quecota_ota_request(device, 0), QUECOTA_OK);
    next_fetch();
    CHECK_EQUAL(failure(), QUECOTA_FAILURE_HTTP_STATUS);

    /* The wait is what was asked for and up to a quarter more; then up to an hour of a day. */
    answer(429, NULL, 86400);
    waited = next_fetch();
    CHECK(waited >= 118 && waited <= 155);
    answer(206, "gzip", 0);
    waited = next_fetch();
    CHECK(waited >= 3598 && waited <= 4505);
    CHECK_EQUAL(failure(), QUECOTA_FAILURE_ENCODED);
    CHECK_EQUAL(fake.fetched, 0);

    /* Nothing was asked for: the library's own pause after a third failure. */
    answer(206, "Identity", 0);
    waited = next_fetch();
    CHECK(waited >= 6 && waited <= 15);
    CHECK(staged);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    puts("native_fetch_head: passed");
    return 0;
}
