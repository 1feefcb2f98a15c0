/* Each call of both APIs that is refused leaves one line that names the call, the value and the rule, and no secret. */
#define _POSIX_C_SOURCE 200809L
#include "fake_platform.h"
#include "Ql_iotApi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef WITH_HOST
#include <unistd.h>
#endif

static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static fake_platform_t fake, drop_in;
static quecota_t *device;

#define SECRET "aSecretOf15Char"

const quecota_platform_t *quecota_default_platform(void)
{
    return &drop_in.platform;
}

/* Makes a call that is to be refused, and finds its line: the call with its value, and a word of the rule. */
#define REFUSED_ON(port, wrong, call, given, rule)                                                                    \
    do {                                                                                                               \
        (port)->line[0] = 0;                                                                                           \
        CHECK(wrong(call));                                                                                            \
        if (!is_line((port)->line, #call, given, rule)) fake_fail(__FILE__, __LINE__, (port)->line);                   \
    } while (0)
#define IS_ERROR(call) ((call) != QUECOTA_OK)
#define IS_FALSE(call) (!(call))
#define IS_STOP(call) ((call) == QUECOTA_FLOW_STOP)
#define IS_DONE(call) ((call) == QUECOTA_HTTP_DONE)
#define IS_UNKNOWN(call) ((call) == (quint32_t)-1)
#define NATIVE(call, given, rule) REFUSED_ON(&fake, IS_ERROR, call, given, rule)
#define DROP_IN(call, given, rule) REFUSED_ON(&drop_in, IS_FALSE, call, given, rule)

static int is_line(const char *line, const char *call, const char *given, const char *rule)
{
    char begin[128];
    snprintf(begin, sizeof begin, "%.*s(%s) is refused: ", (int)strcspn(call, "("), call, given);
    return strncmp(line, begin, strlen(begin)) == 0 && strstr(line + strlen(begin), rule) != NULL
        && strstr(line, SECRET) == NULL;
}

static void start(fake_platform_t *port, const char *hardware_id)
{
    quecota_config_t config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    fake_init(port);
    port->hardware_id = hardware_id;
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &port->platform, &device), QUECOTA_OK);
}

static void native_calls(void)
{
    static char endless[4096], many[100];
    uint8_t data[16];
    uint32_t count;
    char text[4];
    quecota_progress_t progress;
    quecota_fetch_head_t head;
    memset(endless, 'x', sizeof endless - 1);
    memset(many, 'y', sizeof many - 1);

    start(&fake, NULL);
    REFUSED_ON(&fake, IS_STOP, quecota_on_fetch_begin(device, 206, 0, 1, 1), "206", "quecota_start() was not called");
    NATIVE(quecota_set_lifetime(device, 60), "60", "quecota_start() was not called");
    NATIVE(quecota_ota_progress(device, &progress), "", "quecota_start() was not called");
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    NATIVE(quecota_start(device), "", "called twice");

    NATIVE(quecota_on_link(device, 99, 0), "99", "QUECOTA_LINK_");
    NATIVE(quecota_on_message(device, NULL, data, 1), "NULL", "pointer is NULL");
    NATIVE(quecota_on_message(device, endless, data, 1), "not UTF-8, or too long", "2048 bytes");
    NATIVE(quecota_on_message(device, "topic", NULL, 1), "topic", "pointer is NULL");

    REFUSED_ON(&fake, IS_STOP, quecota_on_fetch_head(device, NULL), "", "pointer is NULL");
    memset(&head, 0, sizeof head);
    REFUSED_ON(&fake, IS_STOP, quecota_on_fetch_head(device, &head), "", "struct");
    head.size = sizeof head;
    head.content_encoding = endless;
    REFUSED_ON(&fake, IS_STOP, quecota_on_fetch_head(device, &head), "", "content_encoding must be UTF-8");
    REFUSED_ON(&fake, IS_STOP, quecota_on_fetch_data(device, NULL, 3), "3", "pointer is NULL");
    REFUSED_ON(&fake, IS_DONE, quecota_http_feed(NULL, device, data, 3), "3", "pointer is NULL");
    NATIVE(quecota_http_closed(NULL, device), "", "pointer is NULL");

    NATIVE(quecota_set_mode(device, QUECOTA_MODE_REQUEST), "1", "product key, product secret or server is not set");
    NATIVE(quecota_set_mode(device, 2), "2", "QUECOTA_MODE_REQUEST");
    NATIVE(quecota_set_product(device, NULL, SECRET), "NULL", "pointer is NULL");
    NATIVE(quecota_set_product(device, "key", NULL), "key", "pointer is NULL");
    NATIVE(quecota_set_product(device, "", "MTIzNDU2Nzg5MGFi"), "", "1 to 32 characters");
    NATIVE(quecota_set_product(device, "\xFF", "MTIzNDU2Nzg5MGFi"), "not UTF-8, or too long", "UTF-8");
    NATIVE(quecota_set_product(device, "p1abcd", SECRET), "p1abcd", "secret 16 to 32");
    NATIVE(quecota_set_server(device, NULL), "NULL", "pointer is NULL");
    NATIVE(quecota_set_server(device, "http://user:" SECRET "@host:1"), "host:1", "mqtt://host:port");
    NATIVE(quecota_set_device(device, "86-1", SECRET), "86-1", "1 to 16 letters and digits");
    NATIVE(quecota_set_device(device, "860000000000001", NULL), "860000000000001", "not be the hardware id");
    NATIVE(quecota_set_user_name(device, many), "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "64 bytes");
    NATIVE(quecota_set_lifetime(device, 0), "0", "1 to 65535");
    NATIVE(quecota_set_app_version(device, many), "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "64 bytes");
    NATIVE(quecota_set_mcu_version(device, NULL, "1"), "NULL", "pointer is NULL");
    NATIVE(quecota_set_mcu_version(device, "a:b", "1"), "a:b", "without ; and :");
    NATIVE(quecota_get_mcu_version(device, "MCU", NULL, 4), "MCU", "pointer is NULL");
    NATIVE(quecota_get_mcu_version(device, "MCU", text, sizeof text), "MCU", "not known");
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "12345"), QUECOTA_OK);
    NATIVE(quecota_get_mcu_version(device, "MCU", text, sizeof text), "MCU", "too small");
    NATIVE(quecota_log(device, QUECOTA_LEVEL_INFO, NULL), "3", "pointer is NULL");
    NATIVE(quecota_log(device, 0, "line"), "0", "QUECOTA_LEVEL_");

    NATIVE(quecota_ota_request(device, 0), "0", "no session");
    NATIVE(quecota_ota_action(device, 4), "4", "QUECOTA_ACTION_");
    NATIVE(quecota_ota_action(device, QUECOTA_ACTION_CONFIRM), "1", "present OTA state");
    NATIVE(quecota_ota_read(device, 7, NULL, 4, &count), "7", "pointer is NULL");
    NATIVE(quecota_ota_read(device, 7, data, 4, NULL), "7", "pointer is NULL");
    NATIVE(quecota_ota_read(device, 7, data, 0, &count), "7", "at least 1");
    NATIVE(quecota_ota_read(device, 7, data, 4, &count), "7", "present OTA state");
    NATIVE(quecota_ota_checkpoint(device, 7), "7", "present OTA state");
    NATIVE(quecota_ota_get_checkpoint(device, NULL), "", "pointer is NULL");
    NATIVE(quecota_ota_cancel(device), "", "present OTA state");
    NATIVE(quecota_ota_need_time(device, 9), "9", "present OTA state");
    NATIVE(quecota_ota_progress(device, NULL), "", "pointer is NULL");

    CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    NATIVE(quecota_set_product(device, "p2", "MTIzNDU2Nzg5MGFi"), "p2", "mode is idle");
    NATIVE(quecota_set_server(device, "host:1"), "host:1", "mode is idle");
    NATIVE(quecota_set_device(device, "A1", NULL), "A1", "mode is idle");
    NATIVE(quecota_set_lifetime(device, 60), "60", "mode is idle");
    NATIVE(quecota_set_session_encryption(device, 1), "1", "mode is idle");
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
}

/* quecota_init() names the struct, the member or area, and the rule. */
static void init(void)
{
    quecota_config_t config;
#define INIT(change, rule)                                                                                             \
    do {                                                                                                               \
        fake_init(&fake);                                                                                              \
        memset(&config, 0, sizeof config);                                                                             \
        config.size = sizeof config;                                                                                   \
        config.receive = receive;                                                                                      \
        config.receive_size = sizeof receive;                                                                          \
        change;                                                                                                        \
        CHECK(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device) != QUECOTA_OK);                   \
        if (strcmp(fake.line, "quecota_init() is refused: " rule) != 0) fake_fail(__FILE__, __LINE__, fake.line);      \
    } while (0)
    INIT(config.size = 4, "config must have its size in the member size");
    INIT(config.receive = NULL, "config.receive must not be NULL, and receive_size at least QUECOTA_RECEIVE_MIN");
    INIT(config.dialect = 7, "config.dialect must be one of QUECOTA_DIALECT_*");
    INIT(config.resume = 7, "config.resume must be one of QUECOTA_RESUME_*");
    INIT(fake.platform.transport = NULL, "platform.transport must not be NULL");
    INIT(fake.transport.size = 8, "platform.transport must have its size in the member size");
    INIT(fake.storage.size = 8, "platform.storage must have its size in the member size");
    INIT(fake.transport.publish = NULL, "transport.publish must not be NULL");
    INIT(fake.storage.erase = NULL, "storage.erase must not be NULL");
    INIT(fake.system.unlock = NULL, "system.unlock must not be NULL");
    INIT(fake.storage.image.size--, "storage.image must have a size that is a multiple of the erase size and not 0");
    INIT(fake.storage.image.program = 3, "storage.image must have a program size that is a power of two, 1 to 256");
    INIT(fake.storage.journal.erased = 7, "storage.journal must be erased to 0xff or 0x00");
    INIT(fake.storage.journal.size = 4096, "storage.journal must have at least two erase blocks and 8 KB (docs/journal.md)");
    fake_init(&fake);
    CHECK_EQUAL(quecota_init(&memory, 64, &config, &fake.platform, &device), QUECOTA_ERROR_MEMORY);
    CHECK(strcmp(fake.line, "quecota_init() is refused: memory must have QUECOTA_SIZE bytes") == 0);
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, NULL), QUECOTA_ERROR_NULL);
    CHECK(strcmp(fake.line, "quecota_init() is refused: device must not be NULL") == 0);
}

/* A port's hardware id is checked when it would be needed. */
static void bad_hardware_ids(void)
{
    static const char *const ids[] = {"86-1", "", "12345678901234567"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        start(&fake, ids[i]);
        CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
        CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
        CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
        NATIVE(quecota_set_mode(device, QUECOTA_MODE_REQUEST), "1", "device key of 1 to 16 letters and digits");
        CHECK_EQUAL(quecota_set_device(device, "A1", NULL), QUECOTA_OK);
        CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
        CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    }
}

/* What a port tells of its link is in the log in words. */
static void links_in_words(void)
{
    start(&fake, NULL);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_REFUSED, 4), QUECOTA_OK);
    CHECK(strstr(fake.lines, "CONNACK 4): user name or password is wrong") != NULL);
    CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_LOST, 0), QUECOTA_OK);
    CHECK(strstr(fake.lines, "the link to the broker is lost") != NULL);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
}

/* Calls whose lines have no value: those that are not served, and those of data. */
static void calls_without_a_value(void)
{
    static char text[8] = "text";
    quint8_t byte = 1, *bytes = NULL;
    quint16_t id = 1;
    void *list = NULL, *none = NULL;
    char *place;
#define IS_NULL(call) ((call) == NULL)
#define IS_ZERO(call) ((call) == 0)
#define IS_MINUS(call) ((call) == -1)
#define IS_VOID(call) (call, 1)
#define LINE(wrong, call, rule) REFUSED_ON(&drop_in, wrong, call, "", rule)
#define NOT_KNOWN "not known"
    LINE(IS_FALSE, Ql_iotSubDevSetConnMode(0, 1), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevConn(text, text, text, text, 0, 60), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevDisconn(text, text), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevDeauth(text, text, text, text), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevHTB(text, text), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevPassTransSend(text, text, &byte, 1), NOT_KNOWN);
    LINE(IS_MINUS, Ql_iotSubDevPassTransSend_ex(text, text, &byte, 1), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevTslReport(text, text, NULL), NOT_KNOWN);
    LINE(IS_MINUS, Ql_iotSubDevTslReport_ex(text, text, NULL), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotSubDevTslAck(text, text, 1, NULL), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotConfigSetSubDevAuth(1, &byte), NOT_KNOWN);
    LINE(IS_VOID, Ql_iotConfigSetSubDevEventCB(NULL), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotGwDevInfoReport(text, text, text), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotGwDevLocReport(text, text, NULL), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotGwDevOtaReq(text, text, text, 0), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotGwDevOtaUpdate(text, text, text, 1), NOT_KNOWN);
    LINE(IS_MINUS, Ql_iotGwDevOtaRead(text, text, 0, 1, &byte), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotHttpOtaReq(80, 0, text, text, text), "");
    LINE(IS_VOID, Ql_iotHttpOtaSetEventCb(NULL), "");
    LINE(IS_VOID, Ql_iotConfigSetHttpOtaEventCb(NULL), "");
    LINE(IS_FALSE, Ql_iotConfigSetHttpOtaProductInfo(text, text), "");
    LINE(IS_FALSE, Ql_iotConfigSetHttpOtaTls(1), "");
    LINE(IS_FALSE, Ql_iotConfigSetHttpOtaServer(text), "");
    LINE(IS_FALSE, Ql_iotConfigSetHttpOtaUp(80, 0, text), "");
    LINE(IS_FALSE, Ql_iotMBInit(&id, 1, NULL, NULL), "");
    LINE(IS_FALSE, Ql_iotMBDeinit(), "");
    LINE(IS_FALSE, Ql_iotMBCloudRecv(NULL), "");
    LINE(IS_FALSE, Ql_iotMBLocalRecv(1, &byte, 1), "");
    LINE(IS_FALSE, Ql_iotCmdBindcodeReport(&byte, 1), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotDBindcodeSet(text, 1), NOT_KNOWN);
    LINE(IS_ZERO, Ql_iotDBindcodeGet(&place), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotDataCollSend(1, 1, 1, &byte), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotConfigSetAuthODOS(text, text, text, text), "Ql_iotConfigSetDkDs");
    LINE(IS_FALSE, Ql_iotConfigSetPsk(text), "");
    LINE(IS_NULL, Ql_iotTtlv2Json(NULL), "");
    LINE(IS_NULL, Ql_iotJson2Ttlv(NULL), "");
    LINE(IS_FALSE, Ql_iotCmdSysNTPReq(), NOT_KNOWN);
    LINE(IS_FALSE, Ql_iotCmdBusLocReportInside(NULL), "position receiver");
    LINE(IS_MINUS, Ql_iotCmdBusLocReportInside_ex(NULL), "position receiver");
    LINE(IS_NULL, Ql_iotLocGetSupList(), "position receiver");
    LINE(IS_NULL, Ql_iotLocGetData(NULL), "position receiver");

    LINE(IS_FALSE, Ql_iotCmdBusPassTransSend(3, &byte, 1), "0, 1 or 2");
    LINE(IS_FALSE, Ql_iotCmdBusPassTransSend(1, &byte, 0), "nothing to send");
    LINE(IS_FALSE, Ql_iotCmdBusPassTransSend(1, NULL, 1), "must not be NULL");
    LINE(IS_FALSE, Ql_iotCmdBusPassTransSend(1, &byte, 1), "");
    LINE(IS_MINUS, Ql_iotCmdBusPassTransSend_ex(1, NULL, 1), "must not be NULL");
    LINE(IS_FALSE, Ql_iotCmdBusPhymodelReport(1, NULL), "TTLV list");
    LINE(IS_MINUS, Ql_iotCmdBusPhymodelReport_ex(1, NULL), "TTLV list");
    LINE(IS_FALSE, Ql_iotCmdBusPhymodelAck(1, 0, NULL), "packet id");
    LINE(IS_FALSE, Ql_iotCmdBusLocReportOutside(NULL), "sentence");
    LINE(IS_MINUS, Ql_iotCmdBusLocReportOutside_ex(NULL), "sentence");
    LINE(IS_FALSE, Ql_iotCmdSysStatusReport(NULL, 1), "");
    LINE(IS_FALSE, Ql_iotCmdSysDevInfoReport(&id, 33), "");

    LINE(IS_FALSE, Ql_iotTtlvIdAddBool(NULL, 1, 1), "ttlvHead");
    LINE(IS_FALSE, Ql_iotTtlvIdAddInt(&list, 8192, 1), "1 to 8191");
    LINE(IS_FALSE, Ql_iotTtlvIdAddFloat(&list, 1, 1e300), "2^64");
    LINE(IS_FALSE, Ql_iotTtlvIdAddFloat_ex(&list, 1, 1, 16), "15 decimals");
    LINE(IS_FALSE, Ql_iotTtlvIdAddByte(&list, 1, bytes, 1), "not be NULL");
    LINE(IS_FALSE, Ql_iotTtlvIdAddRaw(&list, 1, &byte, 65536), "65535");
    LINE(IS_FALSE, Ql_iotTtlvIdAddString(&list, 1, NULL), "not be NULL");
    LINE(IS_FALSE, Ql_iotTtlvIdAddStruct(&list, 1, none), "vHead");
    CHECK(list == NULL);
}

static void drop_in_calls(void)
{
    static char many[100];
    quint8_t data[4];
    char *version;
    memset(many, 'y', sizeof many - 1);
    fake_init(&drop_in);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    calls_without_a_value();
    DROP_IN(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), "1", "unless there is a default server");
    DROP_IN(Ql_iotConfigSetConnmode(7), "7", "0 (idle) or 1 (connect)");
    DROP_IN(Ql_iotConfigSetProductinfo(NULL, SECRET), "NULL", "not empty");
    DROP_IN(Ql_iotConfigSetProductinfo("p1abcd", ""), "p1abcd", "not empty");
    DROP_IN(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "http://u:" SECRET "@host:1"), "host:1", "mqtt://host:port");
    DROP_IN(Ql_iotConfigSetLifetime(0), "0", "1 to 65535");
    DROP_IN(Ql_iotConfigSetLifetime(65536), "65536", "1 to 65535");
    DROP_IN(Ql_iotConfigSetPdpContextId(16), "16", "1 to 15");
    DROP_IN(Ql_iotConfigSetAppVersion(many), "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "64 bytes");
    DROP_IN(Ql_iotConfigSetMcuVersion("a;b", "1"), "a;b", "without ; and :");
    DROP_IN(Ql_iotConfigSetDkDs("86-1", SECRET), "86-1", "16 letters and digits");
    DROP_IN(Ql_iotCmdOtaRequest(0), "0", "online");
    drop_in.lines[0] = 0;
    DROP_IN(Ql_iotCmdOtaRequest(2), "2", "0 or 1");
    CHECK(strchr(drop_in.lines, '\n') == drop_in.lines + strlen(drop_in.lines) - 1); /* one line */
    DROP_IN(Ql_iotConfigGetMcuVersion("MCU", NULL), "MCU", "must not be NULL");
    REFUSED_ON(&drop_in, IS_UNKNOWN, Ql_iotConfigGetMcuVersion("MCU", &version), "MCU", "not known");
    DROP_IN(Ql_iotCmdOtaAction(1), "1", "present OTA state");
    DROP_IN(Ql_iotCmdBusLocReportInside(NULL), "", "no position receiver");
    DROP_IN(Ql_iotCmdOtaMcuFWDataRead(7, data, 4), "7", "inside the staged piece");
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1abcd", "MTIzNDU2Nzg5MGFi"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://cloud.example:1883"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    DROP_IN(Ql_iotConfigSetSessionFlag(1), "1", "mode is idle");
}

#ifdef WITH_HOST
/* Where there is no device, the Linux library writes to stderr. */
static void without_a_device(void)
{
    static const char *const expected[] = {
        "Ql_iotConfigSetLifetime(60) is refused: Ql_iotInit() has not returned TRUE",
        "Ql_iotRst() is refused: Ql_iotInit() has not returned TRUE",
        "Ql_iotCmdBusPassTransSend() is refused: Ql_iotInit() has not returned TRUE",
        "Ql_iotSubDevHTB() is refused: the protocol of sub-devices is not known",
        "quecota_http_target() is refused: a pointer is NULL",
        "quecota_http_request() is refused: a pointer is NULL",
    };
    char line[256] = "";
    char name[] = "refusals.XXXXXX";
    int file = mkstemp(name), saved = dup(2);
    uint32_t length;
    FILE *written;
    CHECK(file >= 0 && saved >= 0 && dup2(file, 2) == 2);
    CHECK_EQUAL(Ql_iotConfigSetLifetime(60), FALSE);
    CHECK_EQUAL(Ql_iotRst(), FALSE);
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend(1, (quint8_t *)line, 1), FALSE);
    CHECK_EQUAL(Ql_iotSubDevHTB("a", "b"), FALSE);
    CHECK_EQUAL(quecota_http_target(NULL, line, 1, NULL, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_http_request(NULL, NULL, 0, &length), QUECOTA_ERROR_NULL);
    CHECK(dup2(saved, 2) == 2);
    written = fopen(name, "r");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        CHECK(written && fgets(line, sizeof line, written) != NULL);
        if (!strstr(line, expected[i])) fake_fail(__FILE__, __LINE__, line);
    }
    fclose(written);
    unlink(name);
}
#endif

int main(void)
{
#ifdef WITH_HOST
    without_a_device();
#endif
    init();
    native_calls();
    bad_hardware_ids();
    links_in_words();
    drop_in_calls();
    puts("refusals: passed");
    return 0;
}
