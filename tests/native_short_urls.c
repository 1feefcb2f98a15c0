/* QUECOTA_SHORT_URLS is the header's side of an archive without the feature long-urls: its sizes are those of such an archive, and
 * an archive that has the feature refuses memory of those sizes. Compiled as CMake's target says, and with MISMATCH once more as a
 * program that defines it although the archive has the feature. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

/* The longest URL of either archive, without its NUL. */
#define SHORT_URL 512u
#define LONG_URL 2048u

#if defined(WITHOUT_LONG_URLS) && !defined(QUECOTA_SHORT_URLS)
#error "CMake's target does not say that the archive is without long-urls"
#endif
#ifdef QUECOTA_SHORT_URLS
#define IS_SHORT 1
/* No room for a long URL in any of them. */
typedef char download_is_short[QUECOTA_HTTP_SIZE < LONG_URL ? 1 : -1];
typedef char request_is_short[QUECOTA_HTTP_REQUEST_SIZE < LONG_URL ? 1 : -1];
#else
#define IS_SHORT 0
/* Room for one, and in the download for its redirect. */
typedef char download_is_long[QUECOTA_HTTP_SIZE > 2 * LONG_URL ? 1 : -1];
typedef char request_is_long[QUECOTA_HTTP_REQUEST_SIZE > LONG_URL ? 1 : -1];
#endif
#if UINTPTR_MAX == 0xFFFFFFFFu
#define IS_32_BIT 1
/* The device itself is smaller there by what its URL is shorter. */
typedef char device_is_as_long_as_its_urls[(QUECOTA_SIZE < 6144) == IS_SHORT ? 1 : -1];
#else
#define IS_32_BIT 0
#endif

#ifdef MISMATCH
typedef char a_mismatch_is_short[IS_SHORT ? 1 : -1];
#define OR_MEMORY QUECOTA_ERROR_MEMORY
#else
#define OR_MEMORY QUECOTA_OK
#endif

static fake_platform_t fake;
static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static union {
    uint64_t aligned;
    unsigned char bytes[QUECOTA_HTTP_SIZE];
} download;

/* What beginning a download of a URL of so many characters says. */
static quecota_error_t begin(size_t length, quecota_http_t **http)
{
    static char url[LONG_URL + 2];
    CHECK(length < sizeof url);
    memset(url, 'x', length);
    memcpy(url, "http://a.b/", 11);
    url[length] = 0;
    return quecota_http_begin(&download, sizeof download, url, 0, 1, http);
}

static void a_device_has_room(void)
{
    quecota_config_t config;
    quecota_t *device = NULL;
    quecota_error_t right = IS_32_BIT ? OR_MEMORY : QUECOTA_OK;
    fake_init(&fake);
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    CHECK(sizeof memory >= QUECOTA_SIZE);
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), right);
    CHECK((device != NULL) == (right == QUECOTA_OK));
    if (device != NULL) CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
}

static void a_download_has_room(void)
{
    quecota_http_t *http = NULL;
    CHECK_EQUAL(begin(20, &http), OR_MEMORY);
    CHECK((http != NULL) == (OR_MEMORY == QUECOTA_OK));
}

#ifndef MISMATCH
static void urls_are_as_long_as_the_header_says(void)
{
    quecota_http_t *http = NULL;
    static uint8_t request[QUECOTA_HTTP_REQUEST_SIZE];
    uint32_t length = 0;
    size_t longest = IS_SHORT ? SHORT_URL : LONG_URL;
    CHECK_EQUAL(begin(longest + 1, &http), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(begin(longest, &http), QUECOTA_OK);
    CHECK_EQUAL(quecota_http_request(http, request, sizeof request, &length), QUECOTA_OK);
    CHECK(length > longest - 11 && length <= sizeof request);
}
#endif

int main(void)
{
    a_device_has_room();
    a_download_has_room();
#ifndef MISMATCH
    urls_are_as_long_as_the_header_says();
#endif
    puts("native_short_urls: passed");
    return 0;
}
