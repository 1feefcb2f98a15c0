/* A port that has sockets and no HTTP client: the library writes the request, reads the answer in any portions, and
 * follows a redirect. The socket is this file. */
#include "fake_platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fake_platform_t fake;
static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static union {
    uint64_t aligned;
    unsigned char bytes[QUECOTA_HTTP_SIZE];
} download;

static quecota_http_t *http;
static int connected, online, done, failed;
static unsigned requests, redirects, closes;
static uint32_t bytes_read;

/* The server closes in the middle of one answer and moves the file once. */
static int to_break = 1, to_redirect = 1;

static int32_t http_fetch(void *ctx, const char *url, uint32_t start, uint32_t length)
{
    (void)ctx;
    CHECK_EQUAL(quecota_http_begin(&download, sizeof download, url, start, length, &http), QUECOTA_OK);
    connected = 1;
    return 0;
}

static void http_fetch_cancel(void *ctx)
{
    (void)ctx;
    connected = 0;
}

/* Gives the answer in portions of seven bytes, as a socket might; what the library wants next. */
static quecota_http_next_t feed(quecota_t *device, const char *data, size_t length)
{
    quecota_http_next_t next = QUECOTA_HTTP_MORE;
    while (length > 0 && next == QUECOTA_HTTP_MORE) {
        uint32_t portion = length < 7 ? (uint32_t)length : 7;
        next = quecota_http_feed(http, device, (const uint8_t *)data, portion);
        data += portion;
        length -= portion;
    }
    return next;
}

static void serve(quecota_t *device)
{
    static char answer[FAKE_FIRMWARE_SIZE + 512];
    uint8_t request[QUECOTA_HTTP_REQUEST_SIZE];
    char host[64], *range;
    uint16_t port;
    int32_t tls;
    uint32_t length, first, last, i;
    size_t used;
    connected = 0;
    requests++;
    CHECK_EQUAL(quecota_http_target(http, host, 4, &port, &tls), QUECOTA_ERROR_ROOM);
    CHECK_EQUAL(quecota_http_target(http, host, sizeof host, &port, &tls), QUECOTA_OK);
    CHECK_EQUAL(tls, 0);
    CHECK_EQUAL(quecota_http_request(http, request, 10, &length), QUECOTA_ERROR_ROOM);
    CHECK_EQUAL(quecota_http_request(http, request, sizeof request - 1, &length), QUECOTA_OK);
    request[length] = 0;
    range = strstr((char *)request, "Range: bytes=");
    CHECK(memcmp(request, "GET /", 5) == 0 && range);
    first = (uint32_t)strtoul(range + 13, &range, 10);
    last = (uint32_t)strtoul(range + 1, NULL, 10);

    if (to_redirect) {
        to_redirect = 0;
        CHECK_EQUAL(feed(device, "HTTP/1.1 307 Moved\r\nlocation: http://other.example:99/moved\r\n\r\n", 64),
                    QUECOTA_HTTP_REDIRECT);
        redirects++;
        CHECK_EQUAL(quecota_http_target(http, host, sizeof host, &port, &tls), QUECOTA_OK);
        CHECK(strcmp(host, "other.example") == 0 && port == 99);
        connected = 1; /* to there */
        return;
    }
    used = (size_t)sprintf(answer, "HTTP/1.1 206 Partial Content\r\nCONTENT-range: bytes %u-%u/%u\r\n"
                                   "transfer-Encoding: chunked\r\n\r\n%x\r\n",
                           first, last, FAKE_FIRMWARE_SIZE, last - first + 1);
    for (i = first; i <= last; i++) answer[used++] = (char)fake_firmware(i);
    if (to_break) {
        to_break = 0;
        CHECK_EQUAL(feed(device, answer, used / 2), QUECOTA_HTTP_MORE);
        CHECK_EQUAL(quecota_http_closed(http, device), QUECOTA_OK);
        closes++;
        return;
    }
    used += (size_t)sprintf(answer + used, "\r\n0\r\n\r\n");
    CHECK_EQUAL(feed(device, answer, used), QUECOTA_HTTP_DONE_KEEP);
}

static void read_piece(quecota_t *device, const char *text)
{
    uint8_t data[1024];
    unsigned size, start, length;
    uint32_t count;
    CHECK_EQUAL(sscanf(text, "\"MCU\",%u,%u,%u", &size, &start, &length), 3);
    for (bytes_read = start; bytes_read < start + length; bytes_read += count) {
        CHECK_EQUAL(quecota_ota_read(device, bytes_read, data, sizeof data, &count), QUECOTA_OK);
        for (uint32_t i = 0; i < count; i++) CHECK_EQUAL(data[i], fake_firmware(bytes_read + i));
    }
    CHECK_EQUAL(quecota_ota_action(device, bytes_read < size ? QUECOTA_ACTION_NEXT : QUECOTA_ACTION_UPDATING),
                QUECOTA_OK);
}

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    quecota_t *device = fake.device;
    (void)ctx;
    (void)length;
    if (event == QUECOTA_EVENT_SUBSCRIBE && code == 10200) online = 1;
    if (event != QUECOTA_EVENT_OTA) return;
    if (code == QUECOTA_OTA_PLAN) CHECK_EQUAL(quecota_ota_action(device, QUECOTA_ACTION_CONFIRM), QUECOTA_OK);
    if (code == QUECOTA_OTA_DOWNLOADED) read_piece(device, value);
    if (code == QUECOTA_OTA_UPDATING) CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "2"), QUECOTA_OK);
    if (code == QUECOTA_OTA_SUCCESS || code == QUECOTA_OTA_FAILED) done = 1;
    if (code == QUECOTA_OTA_FAILED) failed = 1;
}

static void refusals(void)
{
    uint8_t out[16];
    uint32_t length;
    CHECK_EQUAL(quecota_http_begin(&download, 10, "http://a.b/", 0, 1, &http), QUECOTA_ERROR_MEMORY);
    CHECK_EQUAL(quecota_http_begin(download.bytes + 1, sizeof download, "http://a.b/", 0, 1, &http),
                QUECOTA_ERROR_ALIGN);
    CHECK_EQUAL(quecota_http_begin(NULL, sizeof download, "http://a.b/", 0, 1, &http), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_http_begin(&download, sizeof download, NULL, 0, 1, &http), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_http_begin(&download, sizeof download, "ftp://a.b/", 0, 1, &http), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_http_begin(&download, sizeof download, "http://a.b/", 0, 0, &http), QUECOTA_ERROR_VALUE);
    CHECK(http == NULL);
    CHECK_EQUAL(quecota_http_request(NULL, out, sizeof out, &length), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_http_feed(NULL, NULL, out, 1), QUECOTA_HTTP_DONE);
    CHECK_EQUAL(quecota_http_closed(NULL, NULL), QUECOTA_ERROR_NULL);
}

int main(void)
{
    quecota_config_t config;
    quecota_t *device = NULL;
    refusals();
    fake_init(&fake);
    fake.transport.fetch = http_fetch;
    fake.transport.fetch_cancel = http_fetch_cancel;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    config.event = on_event;
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "1"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    CHECK(fake_run(&fake, device, &online, 60000));
    CHECK_EQUAL(quecota_ota_request(device, 0), QUECOTA_OK);
    for (long steps = 0; !done; steps++) {
        uint32_t wait = quecota_poll(device);
        CHECK(steps < 100000);
        if (done || fake_answer(&fake, device)) continue;
        if (connected) serve(device);
        else fake.now += wait > 1000 ? 1000 : wait ? wait : 1;
    }
    if (failed) fprintf(stderr, "%s\n", quecota_failure_text(quecota_ota_failure(device)));
    CHECK(!failed);
    CHECK_EQUAL(bytes_read, FAKE_FIRMWARE_SIZE);
    CHECK_EQUAL(redirects, 1);
    CHECK_EQUAL(closes, 1);
    CHECK(requests > 3);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    puts("native_http: passed");
    return 0;
}
