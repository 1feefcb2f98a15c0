#include "http.h"

#include "link.h"

#include <string.h>

#define HOST_SIZE 65

static quecota_t *device;
static quecota_http_t *http;
static union {
    uint64_t aligned;
    uint8_t bytes[QUECOTA_HTTP_SIZE];
} memory;

static void opened(void);
static uint32_t data(const uint8_t *bytes, uint32_t length);
static void closed(void);
static stream_t stream = { opened, data, closed, 0 };

void http_begin(quecota_t *to)
{
    device = to;
}

/* Opens the stream to where the library wants to go. 0: there is no way. */
static int open_stream(void)
{
    char address[HOST_SIZE + 6], *end;
    uint16_t port, unit;
    int32_t is_tls;

    if (quecota_http_target(http, address, HOST_SIZE, &port, &is_tls) != QUECOTA_OK || is_tls) return 0;
    end = address + strlen(address);
    *end++ = ':';
    for (unit = 10000; unit > 1 && unit > port; unit /= 10) {}
    for (; unit > 0; unit /= 10) *end++ = (char)('0' + port / unit % 10);
    *end = '\0';
    link_open(&stream, address);
    return 1;
}

int32_t http_fetch(void *ctx, const char *url, uint32_t start, uint32_t length)
{
    (void)ctx;
    link_close(&stream);
    return quecota_http_begin(&memory, sizeof memory, url, start, length, &http) == QUECOTA_OK && open_stream() ? 0 : -1;
}

void http_fetch_cancel(void *ctx)
{
    (void)ctx;
    link_close(&stream);
}

static void opened(void)
{
    static uint8_t request[QUECOTA_HTTP_REQUEST_SIZE];
    uint32_t length;

    if (quecota_http_request(http, request, sizeof request, &length) == QUECOTA_OK) link_send(&stream, request, length);
}

static uint32_t data(const uint8_t *bytes, uint32_t length)
{
    switch (quecota_http_feed(http, device, bytes, length)) {
    case QUECOTA_HTTP_MORE:
        break;
    case QUECOTA_HTTP_REDIRECT:
        if (!open_stream()) {
            link_close(&stream);
            (void)quecota_http_closed(http, device);
        }
        break;
    default: /* over */
        link_close(&stream);
    }
    return length;
}

static void closed(void)
{
    (void)quecota_http_closed(http, device);
}
