/* Every function of the headers with NULL, with what is no handle, and with values out of every range: nothing crashes, and the
 * device works on. absurd_values.cmake compares the calls with the headers.
 *
 * A pointer that is not NULL has what its function asks for: memory of that length, or a text with its end. */
#include "Ql_iotApi.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_platform.h"

static fake_platform_t fake;

const quecota_platform_t *quecota_default_platform(void)
{
    return &fake.platform;
}

/* ---------------------------------------------------------------------------------------------------- the values */

static char long_text[3000], longest_url[64], of_ours[3][40];
static union {
    unsigned char bytes[1024];
    long long number;
    void *pointer;
} place;
static void *no_list, *list, *garbage_list = of_ours, *inner;
static quecota_memory_t empty_memory;

static const char *TEXTS[] = {NULL, "", "a", "\xFF\xFE", "%s%n", ";:\"", longest_url, long_text};
static char *TEXTS_OF_OURS[] = {NULL, of_ours[0], of_ours[1], of_ours[2]};
static void *PLACES[] = {NULL, &place};
static void **LISTS[] = {NULL, &no_list, &list, &garbage_list};
/* The last is a list that is no more. */
static void *HANDLES[] = {NULL, &place, long_text, NULL, NULL};
static const quint32_t NUMBERS[] = {0, 1, 2, 3, 0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
static const quint32_t LENGTHS[] = {0, 1, 39};
static double REALS[] = {0.0, -1.5, 5e-324, 1.7976931348623157e308, 18446744073709551616.0, 0, 0};
static quecota_t *DEVICES[] = {NULL, NULL, NULL};
/* Of functions that are called back, and of what is checked for NULL alone. */
#define NOTHING NOTHINGS
static void *NOTHINGS[] = {NULL};

static unsigned long calls;

/* What the call before may have changed. */
static void prepare(void)
{
    memset(&place, 0, sizeof place);
    strcpy(of_ours[0], "\"a,,b\"");
    strcpy(of_ours[1], "");
    memset(of_ours[2], '"', sizeof of_ours[2] - 1);
    garbage_list = of_ours;
    Ql_iotTtlvFree(&no_list);
    Ql_iotTtlvFree(&list);
    Ql_iotTtlvFree(&inner);
    Ql_iotTtlvIdAddInt(&inner, 1, 1);
    HANDLES[4] = inner;
    Ql_iotTtlvFree(&inner);
    Ql_iotTtlvIdAddInt(&list, 1, 1);
    HANDLES[3] = list;
    calls++;
}

/* `absurd_values few`: for valgrind, which is slow. */
static int few;

#define EACH(values, i) for (i = 0; i < sizeof values / sizeof values[0] && (!few || i < 3); i++)
#define CALL0(f) (prepare(), (void)f())
#define CALL1(f, A) EACH(A, a) (prepare(), (void)f(A[a]))
#define CALL2(f, A, B) EACH(A, a) EACH(B, b) (prepare(), (void)f(A[a], B[b]))
#define CALL3(f, A, B, C) EACH(A, a) EACH(B, b) EACH(C, c) (prepare(), (void)f(A[a], B[b], C[c]))
#define CALL4(f, A, B, C, D) EACH(A, a) EACH(B, b) EACH(C, c) EACH(D, d) (prepare(), (void)f(A[a], B[b], C[c], D[d]))
#define CALL5(f, A, B, C, D, E) \
    EACH(A, a) EACH(B, b) EACH(C, c) EACH(D, d) EACH(E, e) (prepare(), (void)f(A[a], B[b], C[c], D[d], E[e]))
#define CALL6(f, A, B, C, D, E, F) \
    EACH(A, a) EACH(B, b) EACH(C, c) EACH(D, d) EACH(E, e) EACH(F, g) \
        (prepare(), (void)f(A[a], B[b], C[c], D[d], E[e], F[g]))

/* clang-format off */
static void call_all(void)
{
    size_t a, b, c, d, e, g;
    CALL1(Ql_iotConfigSetEventCB, NOTHING);
    CALL1(Ql_iotConfigSetConnmode, NUMBERS);
    CALL0(Ql_iotConfigGetConnmode);
    CALL2(Ql_iotConfigSetProductinfo, TEXTS, TEXTS);
    CALL3(Ql_iotConfigGetProductinfo, PLACES, PLACES, PLACES);
    CALL2(Ql_iotConfigSetServer, NUMBERS, TEXTS);
    CALL2(Ql_iotConfigGetServer, PLACES, PLACES);
    CALL1(Ql_iotConfigSetLifetime, NUMBERS);
    CALL0(Ql_iotConfigGetLifetime);
    CALL1(Ql_iotConfigSetPdpContextId, NUMBERS);
    CALL0(Ql_iotConfigGetPdpContextId);
    CALL1(Ql_iotConfigSetSessionFlag, NUMBERS);
    CALL0(Ql_iotConfigGetSessionFlag);
    CALL1(Ql_iotConfigSetAppVersion, TEXTS);
    CALL0(Ql_iotConfigGetSoftVersion);
    CALL2(Ql_iotConfigSetMcuVersion, TEXTS, TEXTS);
    CALL2(Ql_iotConfigGetMcuVersion, TEXTS, PLACES);
    CALL0(Ql_iotGetWorkState);
    CALL2(Ql_iotConfigSetDkDs, TEXTS, TEXTS);
    CALL2(Ql_iotConfigGetDkDs, PLACES, PLACES);
    CALL1(Ql_iotCmdOtaRequest, NUMBERS);
    CALL1(Ql_iotCmdOtaAction, NUMBERS);
    CALL3(Ql_iotCmdOtaMcuFWDataRead, NUMBERS, PLACES, LENGTHS);
    CALL1(Ql_iotTtlvCountGet, HANDLES);
    CALL1(Ql_iotTtlvFree, LISTS);
    CALL2(Ql_iotTtlvRemove, LISTS, NUMBERS);
    CALL3(Ql_iotTtlvIdAddBool, LISTS, NUMBERS, NUMBERS);
    CALL3(Ql_iotTtlvIdAddInt, LISTS, NUMBERS, NUMBERS);
    CALL3(Ql_iotTtlvIdAddFloat, LISTS, NUMBERS, REALS);
    CALL4(Ql_iotTtlvIdAddFloat_ex, LISTS, NUMBERS, REALS, NUMBERS);
    CALL4(Ql_iotTtlvIdAddByte, LISTS, NUMBERS, PLACES, LENGTHS);
    CALL4(Ql_iotTtlvIdAddRaw, LISTS, NUMBERS, PLACES, LENGTHS);
    CALL3(Ql_iotTtlvIdAddString, LISTS, NUMBERS, TEXTS);
    CALL3(Ql_iotTtlvIdAddStruct, LISTS, NUMBERS, HANDLES);
    CALL4(Ql_iotTtlvNodeGet, HANDLES, NUMBERS, PLACES, PLACES);
    CALL2(Ql_iotTtlvNodeGetBool, HANDLES, PLACES);
    CALL2(Ql_iotTtlvNodeGetInt, HANDLES, PLACES);
    CALL2(Ql_iotTtlvNodeGetFloat, HANDLES, PLACES);
    CALL2(Ql_iotTtlvNodeGetByte, HANDLES, PLACES);
    CALL2(Ql_iotTtlvNodeGetRaw, HANDLES, PLACES);
    CALL1(Ql_iotTtlvNodeGetString, HANDLES);
    CALL1(Ql_iotTtlvNodeGetStruct, HANDLES);
    CALL2(Ql_iotTtlvNodeGetType, HANDLES, PLACES);
    CALL3(Ql_iotTtlvIdGetBool, HANDLES, NUMBERS, PLACES);
    CALL3(Ql_iotTtlvIdGetInt, HANDLES, NUMBERS, PLACES);
    CALL3(Ql_iotTtlvIdGetFloat, HANDLES, NUMBERS, PLACES);
    CALL3(Ql_iotTtlvIdGetByte, HANDLES, NUMBERS, PLACES);
    CALL3(Ql_iotTtlvIdGetRaw, HANDLES, NUMBERS, PLACES);
    CALL2(Ql_iotTtlvIdGetString, HANDLES, NUMBERS);
    CALL2(Ql_iotTtlvIdGetStruct, HANDLES, NUMBERS);
    CALL3(Ql_iotTtlvIdGetType, HANDLES, NUMBERS, PLACES);
    CALL3(Ql_iotCmdBusPassTransSend, NUMBERS, PLACES, LENGTHS);
    CALL3(Ql_iotCmdBusPassTransSend_ex, NUMBERS, PLACES, LENGTHS);
    CALL2(Ql_iotCmdBusPhymodelReport, NUMBERS, HANDLES);
    CALL2(Ql_iotCmdBusPhymodelReport_ex, NUMBERS, HANDLES);
    CALL3(Ql_iotCmdBusPhymodelAck, NUMBERS, NUMBERS, HANDLES);
    CALL2(Ql_iotCmdSysStatusReport, PLACES, LENGTHS);
    CALL2(Ql_iotCmdSysDevInfoReport, PLACES, LENGTHS);
    CALL2(Ql_iotSysGetDevStatus, PLACES, LENGTHS);
    CALL2(Ql_iotSysGetDevInfo, PLACES, LENGTHS);
    CALL0(Ql_iotRst);
    CALL0(Ql_iotClear);
    CALL0(Ql_iotCmdSysNTPReq);
    CALL1(Ql_iotCmdBusLocReportOutside, HANDLES);
    CALL1(Ql_iotCmdBusLocReportOutside_ex, HANDLES);
    CALL1(Ql_iotCmdBusLocReportInside, HANDLES);
    CALL1(Ql_iotCmdBusLocReportInside_ex, HANDLES);
    CALL0(Ql_iotLocGetSupList);
    CALL1(Ql_iotLocGetData, HANDLES);
    CALL6(Quos_stringSplit, TEXTS_OF_OURS, LENGTHS, PLACES, LENGTHS, TEXTS, NUMBERS);
    CALL1(Quos_stringRemoveMarks, TEXTS_OF_OURS);
    CALL1(Ql_iotConfigSetSubDevEventCB, NOTHING);
    CALL2(Ql_iotConfigSetSubDevAuth, NUMBERS, PLACES);
    CALL2(Ql_iotSubDevSetConnMode, NUMBERS, NUMBERS);
    CALL6(Ql_iotSubDevConn, TEXTS, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS);
    CALL2(Ql_iotSubDevDisconn, TEXTS, TEXTS);
    CALL4(Ql_iotSubDevDeauth, TEXTS, TEXTS, TEXTS, TEXTS);
    CALL2(Ql_iotSubDevHTB, TEXTS, TEXTS);
    CALL4(Ql_iotSubDevPassTransSend, TEXTS, TEXTS, PLACES, LENGTHS);
    CALL4(Ql_iotSubDevPassTransSend_ex, TEXTS, TEXTS, PLACES, LENGTHS);
    CALL3(Ql_iotSubDevTslReport, TEXTS, TEXTS, HANDLES);
    CALL3(Ql_iotSubDevTslReport_ex, TEXTS, TEXTS, HANDLES);
    CALL4(Ql_iotSubDevTslAck, TEXTS, TEXTS, NUMBERS, HANDLES);
    CALL3(Ql_iotGwDevInfoReport, TEXTS, TEXTS, TEXTS);
    CALL3(Ql_iotGwDevLocReport, TEXTS, TEXTS, HANDLES);
    CALL4(Ql_iotGwDevOtaReq, TEXTS, TEXTS, TEXTS, NUMBERS);
    CALL4(Ql_iotGwDevOtaUpdate, TEXTS, TEXTS, TEXTS, NUMBERS);
    CALL5(Ql_iotGwDevOtaRead, TEXTS, TEXTS, NUMBERS, LENGTHS, PLACES);
    CALL5(Ql_iotHttpOtaReq, NUMBERS, NUMBERS, TEXTS, TEXTS, TEXTS);
    CALL5(Ql_iotHttpOtaGet, PLACES, PLACES, PLACES, PLACES, PLACES);
    CALL1(Ql_iotHttpOtaSetEventCb, NOTHING);
    CALL1(Ql_iotConfigSetHttpOtaEventCb, NOTHING);
    CALL2(Ql_iotConfigSetHttpOtaProductInfo, TEXTS, TEXTS);
    CALL2(Ql_iotConfigGetHttpOtaProductInfo, PLACES, PLACES);
    CALL1(Ql_iotConfigSetHttpOtaTls, NUMBERS);
    CALL0(Ql_iotConfigGetHttpOtaTls);
    CALL1(Ql_iotConfigSetHttpOtaServer, TEXTS);
    CALL1(Ql_iotConfigGetHttpOtaServer, PLACES);
    CALL3(Ql_iotConfigSetHttpOtaUp, NUMBERS, NUMBERS, TEXTS);
    CALL3(Ql_iotConfigGetHttpOtaUp, PLACES, PLACES, PLACES);
    CALL4(Ql_iotMBInit, PLACES, LENGTHS, NOTHING, NOTHING);
    CALL0(Ql_iotMBDeinit);
    CALL1(Ql_iotMBCloudRecv, HANDLES);
    CALL3(Ql_iotMBLocalRecv, NUMBERS, PLACES, LENGTHS);
    CALL2(Ql_iotCmdBindcodeReport, PLACES, LENGTHS);
    CALL2(Ql_iotDBindcodeSet, TEXTS, NUMBERS);
    CALL1(Ql_iotDBindcodeGet, PLACES);
    CALL4(Ql_iotDataCollSend, NUMBERS, NUMBERS, LENGTHS, PLACES);
    CALL4(Ql_iotConfigSetAuthODOS, TEXTS, TEXTS, TEXTS, TEXTS);
    CALL1(Ql_iotConfigSetPsk, TEXTS);
    CALL1(Ql_iotConfigGetPsk, PLACES);
    CALL1(Ql_iotTtlv2Json, HANDLES);
    CALL1(Ql_iotJson2Ttlv, PLACES);
    CALL1(Ql_iotConfigGetAuth, PLACES);
    CALL0(quecota_version);
    CALL1(quecota_error_text, NUMBERS);
    CALL5(quecota_init, PLACES, LENGTHS, PLACES, PLACES, PLACES);
    CALL1(quecota_start, DEVICES);
    CALL1(quecota_poll, DEVICES);
    CALL3(quecota_set_event_callback, DEVICES, NOTHING, PLACES);
    CALL3(quecota_on_link, DEVICES, NUMBERS, NUMBERS);
    CALL4(quecota_on_message, DEVICES, TEXTS, PLACES, LENGTHS);
    CALL3(quecota_on_sent, DEVICES, NUMBERS, NUMBERS);
    CALL5(quecota_on_fetch_begin, DEVICES, NUMBERS, NUMBERS, NUMBERS, NUMBERS);
    CALL2(quecota_on_fetch_head, DEVICES, PLACES);
    CALL3(quecota_on_fetch_data, DEVICES, PLACES, LENGTHS);
    CALL2(quecota_on_fetch_end, DEVICES, NUMBERS);
    CALL3(quecota_set_product, DEVICES, TEXTS, TEXTS);
    CALL2(quecota_set_server, DEVICES, TEXTS);
    CALL3(quecota_set_device, DEVICES, TEXTS, TEXTS);
    CALL2(quecota_set_user_name, DEVICES, TEXTS);
    CALL2(quecota_set_lifetime, DEVICES, NUMBERS);
    CALL2(quecota_set_session_encryption, DEVICES, NUMBERS);
    CALL2(quecota_set_app_version, DEVICES, TEXTS);
    CALL3(quecota_set_mcu_version, DEVICES, TEXTS, TEXTS);
    CALL4(quecota_get_mcu_version, DEVICES, TEXTS, PLACES, LENGTHS);
    CALL2(quecota_set_mode, DEVICES, NUMBERS);
    CALL1(quecota_get_mode, DEVICES);
    CALL1(quecota_get_work_state, DEVICES);
    CALL3(quecota_log, DEVICES, NUMBERS, TEXTS);
    CALL2(quecota_ota_request, DEVICES, NUMBERS);
    CALL2(quecota_ota_action, DEVICES, NUMBERS);
    CALL5(quecota_ota_read, DEVICES, NUMBERS, PLACES, LENGTHS, PLACES);
    CALL2(quecota_ota_checkpoint, DEVICES, NUMBERS);
    CALL2(quecota_ota_get_checkpoint, DEVICES, PLACES);
    CALL1(quecota_ota_cancel, DEVICES);
    CALL1(quecota_ota_hold_apply, DEVICES);
    CALL1(quecota_ota_allow_apply, DEVICES);
    CALL2(quecota_ota_need_time, DEVICES, NUMBERS);
    CALL2(quecota_ota_progress, DEVICES, PLACES);
    CALL0(quecota_default_device);
    CALL1(quecota_ota_failure, DEVICES);
    CALL1(quecota_failure_text, NUMBERS);
    CALL6(quecota_http_begin, PLACES, LENGTHS, TEXTS, NUMBERS, LENGTHS, PLACES);
    CALL5(quecota_http_target, NOTHING, PLACES, LENGTHS, PLACES, PLACES);
    CALL4(quecota_http_request, NOTHING, PLACES, LENGTHS, PLACES);
    CALL4(quecota_http_feed, NOTHING, DEVICES, PLACES, LENGTHS);
    CALL2(quecota_http_closed, NOTHING, DEVICES);
    CALL3(quecota_parse_plan, PLACES, LENGTHS, PLACES);
    CALL3(quecota_parse_download, PLACES, LENGTHS, PLACES);
    CALL3(quecota_parse_piece, PLACES, LENGTHS, PLACES);
    CALL3(quecota_parse_end, DEVICES, NUMBERS, PLACES);
    CALL2(quecota_check_storage, PLACES, PLACES);
    prepare();
    Ql_iotTtlvFree(&list);
}
/* clang-format on */

/* Refusals without a device have their lines on stderr: thousands, which nobody reads. */
static void call_every_function(void)
{
    int kept = dup(STDERR_FILENO), none = open("/dev/null", O_WRONLY);
    CHECK(kept >= 0 && none >= 0);
    dup2(none, STDERR_FILENO);
    call_all();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(none);
}

/* ------------------------------------------------------------------------------------------------- in every state */

static int online, done, walks_in_callback;

static void on_event(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    char *words[8];
    if (event == QIOT_ATEVENT_TYPE_SUBCRIBE && errcode == QIOT_SUBCRIBE_SUCC) online = 1;
    if (event != QIOT_ATEVENT_TYPE_OTA) return;
    if (errcode == QIOT_OTA_TASK_NOTIFY) Ql_iotCmdOtaAction(1);
    if (errcode == QIOT_OTA_UPDATE_OK || errcode == QIOT_OTA_UPDATE_FAIL) done = errcode;
    if (errcode != QIOT_OTA_DOWNLOADED) return;
    if (walks_in_callback) {
        walks_in_callback = 0;
        call_every_function();
        Ql_iotConfigSetEventCB(on_event);
        done = errcode;
        return;
    }
    CHECK_EQUAL(Quos_stringSplit((char *)(size_t)value, valLen, words, 8, ",", FALSE), 4);
    if (atoi(words[2]) + atoi(words[3]) < (int)FAKE_FIRMWARE_SIZE) {
        CHECK_EQUAL(Ql_iotCmdOtaAction(2), TRUE);
    } else {
        CHECK_EQUAL(Ql_iotCmdOtaAction(3), TRUE);
        CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "2"), TRUE);
    }
}

/* A device as it should be, whatever was set before, asks for its plan. */
static void ask_for_a_plan(void)
{
    online = done = 0;
    Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE);
    quecota_ota_cancel(fake.device);
    fake_run(&fake, fake.device, &done, 2000);
    CHECK_EQUAL(Ql_iotClear(), TRUE);
    Ql_iotConfigSetEventCB(on_event);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1abcd", "MTIzNDU2Nzg5MGFi"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://cloud.example:1883"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "1"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    CHECK(fake_run(&fake, fake.device, &online, 600000));
    done = 0;
    CHECK_EQUAL(Ql_iotCmdOtaRequest(1), TRUE);
}

int main(int argc, char *argv[])
{
    volatile double zero = 0;
    few = argc > 1 && strcmp(argv[1], "few") == 0;
    memset(long_text, 'x', sizeof long_text - 1);
    memset(longest_url, 'x', sizeof longest_url - 1);
    memcpy(longest_url, "mqtt://", 7);
    REALS[5] = zero / zero;
    REALS[6] = 1 / zero;
    DEVICES[1] = (quecota_t *)&empty_memory;
    fake_init(&fake);
    call_every_function();
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    DEVICES[2] = fake.device;
    call_every_function();
    ask_for_a_plan();
    call_every_function();
    ask_for_a_plan();
    walks_in_callback = 1;
    CHECK(fake_run(&fake, fake.device, &done, 600000));
    CHECK_EQUAL(walks_in_callback, 0);
    ask_for_a_plan();
    CHECK(fake_run(&fake, fake.device, &done, 600000));
    CHECK_EQUAL(done, QIOT_OTA_UPDATE_OK);
    CHECK(quecota_deinit(NULL) != QUECOTA_OK);
    CHECK(quecota_deinit((quecota_t *)&empty_memory) != QUECOTA_OK);
    printf("%lu calls: nothing crashed, and an upgrade succeeded after them\n", calls);
    return 0;
}
