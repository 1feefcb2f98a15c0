/* The values of OTA events as structs. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

static quecota_error_t plan_of(const char *text, quecota_plan_t *plan)
{
    memset(plan, 'x', sizeof *plan);
    plan->size = sizeof *plan;
    return quecota_parse_plan(text, (uint32_t)strlen(text), plan);
}

static quecota_error_t download_of(const char *text, quecota_download_t *download)
{
    memset(download, 'x', sizeof *download);
    download->size = sizeof *download;
    return quecota_parse_download(text, (uint32_t)strlen(text), download);
}

static quecota_error_t piece_of(const char *text, quecota_piece_t *piece)
{
    memset(piece, 'x', sizeof *piece);
    piece->size = sizeof *piece;
    return quecota_parse_piece(text, (uint32_t)strlen(text), piece);
}

static void plans(void)
{
    quecota_plan_t plan;
    char text[256];
    CHECK_EQUAL(plan_of("\"MCU\",\"1\",\"2\",30,-113,698000", &plan), QUECOTA_OK);
    CHECK(strcmp(plan.component, "MCU") == 0);
    CHECK(strcmp(plan.source_version, "1") == 0);
    CHECK(strcmp(plan.target_version, "2") == 0);
    CHECK_EQUAL(plan.battery, 30);
    CHECK_EQUAL(plan.signal, -113);
    CHECK_EQUAL(plan.space, 698000);
    CHECK_EQUAL(plan.size, sizeof plan);

    /* As long as they may be, and one longer. */
    (void)snprintf(text, sizeof text, "\"%032d\",\"%064d\",\"%064d\",0,0,0", 0, 0, 0);
    CHECK_EQUAL(plan_of(text, &plan), QUECOTA_OK);
    CHECK_EQUAL(strlen(plan.component), QUECOTA_COMPONENT_SIZE - 1);
    CHECK_EQUAL(strlen(plan.source_version), QUECOTA_VERSION_SIZE - 1);
    CHECK_EQUAL(strlen(plan.target_version), QUECOTA_VERSION_SIZE - 1);
    (void)snprintf(text, sizeof text, "\"%033d\",\"\",\"\",0,0,0", 0);
    CHECK_EQUAL(plan_of(text, &plan), QUECOTA_ERROR_VALUE);
    CHECK(plan.component[0] == 'x'); /* as it was */

    CHECK_EQUAL(plan_of("", &plan), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(plan_of("\"MCU\",\"1\",\"2\",30,-113", &plan), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(plan_of("\"MCU\",\"1\",\"2\",30,-113,x", &plan), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(plan_of("\"\xff\",\"1\",\"2\",30,-113,1", &plan), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_parse_plan(NULL, 5, &plan), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_parse_plan(NULL, 0, &plan), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_parse_plan("\"M\",\"1\",\"2\",3,4,5", 17, NULL), QUECOTA_ERROR_NULL);
    plan.size = sizeof plan - 1;
    CHECK_EQUAL(quecota_parse_plan("\"M\",\"1\",\"2\",3,4,5", 17, &plan), QUECOTA_ERROR_STRUCT);
}

/* A program compiled against a later header, whose struct is longer: what this library does not know is zero. */
static void a_longer_struct(void)
{
    struct {
        quecota_plan_t plan;
        char later[8];
        char behind;
    } longer;
    memset(&longer, 'x', sizeof longer);
    longer.plan.size = offsetof(__typeof__(longer), behind);
    CHECK_EQUAL(quecota_parse_plan("\"M\",\"1\",\"2\",3,4,5", 17, &longer.plan), QUECOTA_OK);
    CHECK_EQUAL(longer.plan.space, 5);
    CHECK_EQUAL(longer.plan.size, offsetof(__typeof__(longer), behind));
    CHECK(memcmp(longer.later, "\0\0\0\0\0\0\0\0", sizeof longer.later) == 0);
    CHECK(longer.behind == 'x');
}

static void downloads(void)
{
    quecota_download_t download;
    static const uint8_t md5[16] = { 0x0c, 0xf4, 0xaf, 0xe9, 0x8f, 0xb0, 0x3b, 0x11, 0x20, 0x88, 0xf6, 0x5f, 0xb3, 0x76, 0x40, 0xee };
    CHECK_EQUAL(download_of("\"MCU\",100000,\"" FAKE_FIRMWARE_MD5 "\"," FAKE_FIRMWARE_CRC32_DECIMAL, &download), QUECOTA_OK);
    CHECK(strcmp(download.component, "MCU") == 0);
    CHECK_EQUAL(download.total, 100000);
    CHECK_EQUAL(download.crc, 2601140367u);
    CHECK(memcmp(download.md5, md5, 16) == 0);
    CHECK_EQUAL(download.has_sha256, 0);
    CHECK_EQUAL(download.sha256[31], 0);
    CHECK_EQUAL(download_of("\"MCU\",1,\"" FAKE_FIRMWARE_MD5 "\",2,\"" FAKE_FIRMWARE_MD5 FAKE_FIRMWARE_MD5 "\"", &download), QUECOTA_OK);
    CHECK(download.has_sha256 != 0);
    CHECK(memcmp(download.sha256 + 16, md5, 16) == 0);
    /* A module has no value. */
    memset(download.component, 'x', sizeof download.component);
    CHECK_EQUAL(quecota_parse_download(NULL, 0, &download), QUECOTA_OK);
    CHECK(download.component[0] == 0 && download.total == 0 && download.has_sha256 == 0);
    CHECK_EQUAL(download_of("\"MCU\",1,\"0cf4\",2", &download), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_parse_download(NULL, 1, &download), QUECOTA_ERROR_NULL);
}

static void pieces(void)
{
    quecota_piece_t piece;
    CHECK_EQUAL(piece_of("\"MCU\",50000,20000,30000", &piece), QUECOTA_OK);
    CHECK(strcmp(piece.component, "MCU") == 0);
    CHECK_EQUAL(piece.total, 50000);
    CHECK_EQUAL(piece.start, 20000);
    CHECK_EQUAL(piece.length, 30000);
    CHECK_EQUAL(piece_of("\"MCU\",4294967296,0,1", &piece), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_parse_piece(NULL, 0, &piece), QUECOTA_OK);
    CHECK(piece.component[0] == 0 && piece.length == 0);
}

static void ends(void)
{
    static quecota_memory_t memory;
    static uint8_t receive[QUECOTA_RECEIVE_MIN];
    static fake_platform_t fake;
    quecota_config_t config = { .size = sizeof config, .receive = receive, .receive_size = sizeof receive };
    quecota_t *device;
    quecota_end_t end = { .size = sizeof end };
    fake_init(&fake);
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_parse_end(device, QUECOTA_OTA_SUCCESS, &end), QUECOTA_OK);
    CHECK(end.succeeded != 0 && end.failure == QUECOTA_FAILURE_NONE && end.component[0] == 0);
    /* As an application has it that was compiled before there was a component. */
    memset(&end, 0x5A, sizeof end);
    end.size = 12;
    CHECK_EQUAL(quecota_parse_end(device, QUECOTA_OTA_SUCCESS, &end), QUECOTA_OK);
    CHECK(end.size == 12 && end.succeeded != 0 && end.component[0] == 0x5A);
    end.size = sizeof end;
    CHECK_EQUAL(quecota_parse_end(device, QUECOTA_OTA_FAILED, &end), QUECOTA_OK);
    CHECK_EQUAL(end.succeeded, 0);
    CHECK_EQUAL(quecota_parse_end(device, QUECOTA_OTA_UPDATING, &end), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_parse_end(NULL, QUECOTA_OTA_FAILED, &end), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_parse_end(device, QUECOTA_OTA_FAILED, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_parse_end(device, QUECOTA_OTA_FAILED, &end), QUECOTA_ERROR_NULL);
}

int main(void)
{
    plans();
    a_longer_struct();
    downloads();
    pieces();
    ends();
    puts("native_events: passed");
    return 0;
}
