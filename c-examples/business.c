/* An application that exchanges business data with Developer Center: it reports values, answers and obeys the platform,
 * passes bytes through, and reports its state and position; and meanwhile its MCU is upgraded.
 *
 *   business mqtt://127.0.0.1:1883 PRODUCT-KEY PRODUCT-SECRET mcu.bin
 *
 * The same source serves both headers:
 *
 *   cc -DWITH_QTHSDK business.c ...   SDK 2.10 and later, ql_api_qthsdk.h
 *   cc business.c ...                 SDK 2.9, Ql_iotApi.h
 */
#ifdef WITH_QTHSDK
#include "ql_api_qthsdk.h"
#else
#include "Ql_iotApi.h"
#endif

#include <stdio.h>
#include <stdlib.h>

/* Ids of the thing model. */
enum { SWITCH = 1, TEMPERATURE = 2, NAME = 3, COUNTER = 4, POSITION = 5, X = 1, Y = 2, SAMPLES = 6 };

#ifndef SERVER
#define SERVER "mqtt://127.0.0.1:1883"
#endif

#define COMPONENT "STM32"

static const char *server = SERVER, *product_key = "p1abcd", *product_secret = "MTIzNDU2Nzg5MGFi", *flash = "mcu.bin";
static volatile int has_ended; /* the upgrade: 1 well, 2 not */

static qbool is_on;
static qint64_t counter = 41;

/* Every value that the device has. */
static void *values(void)
{
    void *list = NULL, *position = NULL, *samples = NULL;
    Ql_iotTtlvIdAddBool(&list, SWITCH, is_on);
    Ql_iotTtlvIdAddFloat(&list, TEMPERATURE, 23.5);
    Ql_iotTtlvIdAddString(&list, NAME, "pump");
    Ql_iotTtlvIdAddInt(&list, COUNTER, counter);
    Ql_iotTtlvIdAddInt(&position, X, 3);
    Ql_iotTtlvIdAddInt(&position, Y, -4);
    Ql_iotTtlvIdAddStruct(&list, POSITION, position); /* the list owns it now */
    Ql_iotTtlvIdAddInt(&samples, 0, 10);
    Ql_iotTtlvIdAddInt(&samples, 0, 20);
    Ql_iotTtlvIdAddStruct(&list, SAMPLES, samples);
    return list;
}

static void print_list(const void *list, int indent)
{
    quint32_t count = Ql_iotTtlvCountGet(list);
    for (quint32_t i = 0; i < count; i++) {
        quint16_t id = 0;
        QIot_dpDataType_e type = QIOT_DPDATA_TYPE_BOOL;
        void *node = Ql_iotTtlvNodeGet(list, (quint16_t)i, &id, &type);
        if (!node) continue;
        printf("%*s%u = ", indent, "", (unsigned)id);
        switch (type) {
        case QIOT_DPDATA_TYPE_BOOL: {
            qbool value = FALSE;
            Ql_iotTtlvNodeGetBool(node, &value);
            printf("%s\n", value ? "true" : "false");
            break;
        }
        case QIOT_DPDATA_TYPE_INT: {
            qint64_t value = 0;
            Ql_iotTtlvNodeGetInt(node, &value);
            printf("%lld\n", (long long)value);
            break;
        }
        case QIOT_DPDATA_TYPE_FLOAT: {
            double value = 0;
            Ql_iotTtlvNodeGetFloat(node, &value);
            printf("%g\n", value);
            break;
        }
        case QIOT_DPDATA_TYPE_BYTE: {
            quint8_t *value = NULL;
            quint32_t length = Ql_iotTtlvNodeGetByte(node, &value);
            printf("%u bytes: %.*s\n", (unsigned)length, (int)length, (const char *)value);
            break;
        }
        case QIOT_DPDATA_TYPE_STRUCT:
            printf("\n");
            print_list(Ql_iotTtlvNodeGetStruct(node), indent + 2);
            break;
        default:
            printf("?\n");
            break;
        }
    }
}

/* The platform sets values. */
static void obey(const void *list)
{
    print_list(list, 2);
    Ql_iotTtlvIdGetBool(list, SWITCH, &is_on);
    Ql_iotTtlvIdGetInt(list, COUNTER, &counter);
    Ql_iotCmdBusPhymodelReport(2, list); /* as it is now */
}

/* The platform wants values: ids[0] is the packet to answer, the ids follow. */
static void answer(const quint16_t *ids, quint32_t count)
{
    void *list = NULL;
    for (quint32_t i = 0; i < count; i++) {
        if (ids[i + 1] == SWITCH) Ql_iotTtlvIdAddBool(&list, SWITCH, is_on);
        if (ids[i + 1] == COUNTER) Ql_iotTtlvIdAddInt(&list, COUNTER, counter);
    }
    Ql_iotCmdBusPhymodelAck(1, ids[0], list);
    Ql_iotTtlvFree(&list);
}

static void report_all(void)
{
    quint16_t status[] = {QIOT_DPID_STATUS_BATTERY, QIOT_DPID_STATUS_FLASHFREE};
    quint16_t info[] = {QIOT_DPID_INFO_MODEL_VER, QIOT_DPID_INFO_MCU_VER};
    void *list = values(), *nmea = NULL;
    Ql_iotCmdBusPhymodelReport(1, list);
    Ql_iotTtlvFree(&list);
    Ql_iotCmdBusPassTransSend(1, (quint8_t *)"hello", 5);
    Ql_iotCmdSysStatusReport(status, sizeof status / sizeof status[0]);
    Ql_iotCmdSysDevInfoReport(info, sizeof info / sizeof info[0]);
    Ql_iotTtlvIdAddString(&nmea, 0, "$GNGGA,1");
    Ql_iotTtlvIdAddString(&nmea, 0, "$GNRMC,2");
    Ql_iotCmdBusLocReportOutside(nmea);
    Ql_iotTtlvFree(&nmea);
}

/* "component",size,start,length: a piece of the MCU's firmware goes to its flash, which is a file here. */
static void on_piece(char **words)
{
    quint8_t block[512];
    quint32_t size = (quint32_t)strtoul(words[1], NULL, 10), start = (quint32_t)strtoul(words[2], NULL, 10);
    quint32_t end = start + (quint32_t)strtoul(words[3], NULL, 10), offset = start, count = 0;
    FILE *file = fopen(flash, start == 0 ? "wb" : "r+b");
    int is_good = file && fseek(file, (long)start, SEEK_SET) == 0;

    for (; is_good && offset < end; offset += count) {
        count = Ql_iotCmdOtaMcuFWDataRead(offset, block, end - offset < sizeof block ? end - offset : (quint32_t)sizeof block);
        is_good = count > 0 && fwrite(block, 1, count, file) == count;
        /* Business goes on between two blocks of an upgrade, and the platform is obeyed between two pieces. */
        if (is_good && offset == start) Ql_iotCmdBusPassTransSend(1, (quint8_t *)"piece", 5);
    }
    if (file && fclose(file) != 0) is_good = 0;
    if (is_good) Ql_iotCmdOtaAction(end < size ? 2 : 3);
}

static void on_ota(qint32_t code, char *text, quint32_t length)
{
    static char target[65];
    char *words[8] = {NULL};
    quint32_t count = text ? Quos_stringSplit(text, length, words, 8, ",", FALSE) : 0;

    if (code == QIOT_OTA_TASK_NOTIFY && count >= 6) {
        snprintf(target, sizeof target, "%s", Quos_stringRemoveMarks(words[2]));
        Ql_iotCmdOtaAction(1);
    } else if (code == QIOT_OTA_DOWNLOADED && count >= 4) {
        on_piece(words);
    } else if (code == QIOT_OTA_UPDATING) {
        Ql_iotConfigSetMcuVersion(COMPONENT, target); /* it would be restarted here, and say what it runs */
    } else if (code == QIOT_OTA_UPDATE_OK || code == QIOT_OTA_UPDATE_FAIL) {
        has_ended = code == QIOT_OTA_UPDATE_OK ? 1 : 2;
    }
}

static void on_event(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    printf("event %u, code %d\n", (unsigned)event, (int)errcode);
    if (event == QIOT_ATEVENT_TYPE_SUBCRIBE && errcode == QIOT_SUBCRIBE_SUCC) report_all();
    if (event == QIOT_ATEVENT_TYPE_OTA) on_ota(errcode, (char *)(size_t)value, valLen);
    if (event != QIOT_ATEVENT_TYPE_RECV) return;
    switch (errcode) {
    case QIOT_RECV_SUCC_TRANS:
        printf("  %s\n", (const char *)value);
        Ql_iotCmdBusPassTransSend(0, (quint8_t *)value, valLen); /* an echo */
        break;
    case QIOT_RECV_SUCC_PHYMODEL_RECV:
        obey(value);
        break;
    case QIOT_RECV_SUCC_PHYMODEL_REQ:
        answer((const quint16_t *)value, valLen);
        break;
    default:
        break;
    }
}

static void application_start(void)
{
    Ql_iotInit();
    Ql_iotConfigSetEventCB(on_event);
    Ql_iotConfigSetProductinfo(product_key, product_secret);
    Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, server);
    Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ);
}

#ifndef WITHOUT_MAIN
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: business mqtt://HOST:PORT PRODUCT-KEY PRODUCT-SECRET FILE\n");
        return 1;
    }
    server = argv[1];
    product_key = argv[2];
    product_secret = argv[3];
    flash = argv[4];
    application_start();
    Ql_iotConfigSetMcuVersion(COMPONENT, "1_0_0");
    /* The center offers a plan when a device comes online. */
    while (!has_ended) sleep(1);
    sleep(2); /* the report of the result is on its way while its event is here */
    Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE);
    return has_ended == 1 ? 0 : 1;
}
#endif
