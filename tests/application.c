/* An application as those of the QuecThing SDK are: one source for both of its headers, with every call that such programs
 * make. It reports values, passes bytes, tells its state and position, obeys the platform, and upgrades two MCUs, whose flash
 * is a file each. What it sees goes to stdout, a line each; center/tests/application.rs compares the lines.
 *
 *   application SERVER PRODUCT_KEY PRODUCT_SECRET FOLDER     ends when its standard input does
 */
#ifdef WITH_QTHSDK
#include "ql_api_qthsdk.h"
#else
#include "Ql_iotApi.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif

#define COMPONENTS 2
#define WORDS      8

/* Ids of the thing model. */
enum { SWITCH = 1, TEMPERATURE, NAME, COUNTER, POSITION, SAMPLES, RAW_BYTES };

static const char *folder;
static struct {
    char name[33], target[65];
    FILE *flash;
} mcu[COMPONENTS] = {{"MCU1", "", NULL}, {"MCU2", "", NULL}};

static qbool is_on = TRUE;
static double temperature = 23.5;
static char name[32] = "pump";
static qint64_t counter = -41;

/* ------------------------------------------------------------------------------------------------- business data */

static void *all_values(void)
{
    static const quint8_t raw[] = {0x00, 0xFF};
    void *list = NULL, *position = NULL, *where = NULL, *samples = NULL;
    Ql_iotTtlvIdAddBool(&list, SWITCH, is_on);
    Ql_iotTtlvIdAddFloat(&list, TEMPERATURE, temperature);
    Ql_iotTtlvIdAddString(&list, NAME, name);
    Ql_iotTtlvIdAddInt(&list, COUNTER, counter);
    Ql_iotTtlvIdAddBool(&where, 1, FALSE);
    Ql_iotTtlvIdAddInt(&position, 1, 3);
    Ql_iotTtlvIdAddStruct(&position, 2, where);
    Ql_iotTtlvIdAddStruct(&list, POSITION, position);
    Ql_iotTtlvIdAddInt(&samples, 0, 10);
    Ql_iotTtlvIdAddInt(&samples, 0, 20);
    Ql_iotTtlvIdAddStruct(&list, SAMPLES, samples);
    Ql_iotTtlvIdAddByte(&list, RAW_BYTES, raw, sizeof raw);
    return list;
}

static void print_list(const void *list, int depth)
{
    quint32_t count = Ql_iotTtlvCountGet(list), i;
    for (i = 0; i < count; i++) {
        quint16_t id = 0;
        QIot_dpDataType_e type = QIOT_DPDATA_TYPE_BOOL;
        void *node = Ql_iotTtlvNodeGet(list, (quint16_t)i, &id, &type);
        printf("value %d %u ", depth, (unsigned)id);
        switch (type) {
        case QIOT_DPDATA_TYPE_BOOL: {
            qbool value = FALSE;
            Ql_iotTtlvNodeGetBool(node, &value);
            printf("bool %d\n", (int)value);
            break;
        }
        case QIOT_DPDATA_TYPE_INT: {
            qint64_t value = 0;
            Ql_iotTtlvNodeGetInt(node, &value);
            printf("int %lld\n", (long long)value);
            break;
        }
        case QIOT_DPDATA_TYPE_FLOAT: {
            double value = 0;
            Ql_iotTtlvNodeGetFloat(node, &value);
            printf("float %g\n", value);
            break;
        }
        case QIOT_DPDATA_TYPE_BYTE: {
            quint8_t *value = NULL;
            quint32_t length = Ql_iotTtlvNodeGetByte(node, &value), at;
            printf("bytes");
            for (at = 0; at < length; at++) printf(" %02X", value[at]);
            printf("\n");
            break;
        }
        case QIOT_DPDATA_TYPE_STRUCT:
            printf("struct\n");
            print_list(Ql_iotTtlvNodeGetStruct(node), depth + 1);
            break;
        default:
            printf("type %d\n", (int)type);
            break;
        }
    }
}

/* The platform sets values; what is set is reported. */
static void obey(const void *list)
{
    char *text;
    print_list(list, 0);
    Ql_iotTtlvIdGetBool(list, SWITCH, &is_on);
    Ql_iotTtlvIdGetFloat(list, TEMPERATURE, &temperature);
    Ql_iotTtlvIdGetInt(list, COUNTER, &counter);
    text = Ql_iotTtlvIdGetString(list, NAME);
    if (text != NULL) snprintf(name, sizeof name, "%s", text);
    Ql_iotCmdBusPhymodelReport(2, list);
}

/* The platform wants values. */
static void answer(const quint16_t *ids, quint32_t count)
{
    void *list = NULL;
    quint32_t i;
    printf("asked");
    for (i = 1; i <= count; i++) printf(" %u", (unsigned)ids[i]);
    printf("\n");
    for (i = 1; i <= count; i++) {
        if (ids[i] == SWITCH) Ql_iotTtlvIdAddBool(&list, SWITCH, is_on);
        if (ids[i] == TEMPERATURE) Ql_iotTtlvIdAddFloat(&list, TEMPERATURE, temperature);
        if (ids[i] == NAME) Ql_iotTtlvIdAddString(&list, NAME, name);
        if (ids[i] == COUNTER) Ql_iotTtlvIdAddInt(&list, COUNTER, counter);
    }
    Ql_iotCmdBusPhymodelAck(1, ids[0], list);
    Ql_iotTtlvFree(&list);
}

static void report_everything(void)
{
    quint16_t status[] = {QIOT_DPID_STATUS_BATTERY, QIOT_DPID_STATUS_VOLTAGE, QIOT_DPID_STATUS_SIGNAL,
                          QIOT_DPID_STATUS_FLASHFREE, QIOT_DPID_STATUS_RSRP};
    quint16_t info[] = {QIOT_DPID_INFO_MODEL_TYPE, QIOT_DPID_INFO_MODEL_VER, QIOT_DPID_INFO_MCU_VER,
                        QIOT_DPID_INFO_SDK_VER};
    void *list = all_values(), *sentences = NULL;
    quint16_t mode;
    for (mode = 0; mode <= 2; mode++) {
        printf("report %d\n", (int)Ql_iotCmdBusPhymodelReport(mode, list));
        printf("pass %d\n", (int)Ql_iotCmdBusPassTransSend(mode, (quint8_t *)"hello", 5));
    }
    Ql_iotTtlvFree(&list);
    printf("status %d\n", (int)Ql_iotCmdSysStatusReport(status, sizeof status / sizeof status[0]));
    printf("info %d\n", (int)Ql_iotCmdSysDevInfoReport(info, sizeof info / sizeof info[0]));
    Ql_iotTtlvIdAddString(&sentences, 0, "$GNGGA,093124.00,3149.33,N");
    Ql_iotTtlvIdAddString(&sentences, 0, "$GNRMC,093124.00,A");
    printf("outside %d\n", (int)Ql_iotCmdBusLocReportOutside(sentences));
    printf("inside %d\n", (int)Ql_iotCmdBusLocReportInside(NULL));
    Ql_iotTtlvFree(&sentences);
}

/* ------------------------------------------------------------------------------------------------------ upgrades */

static int mcu_of(const char *component)
{
    int i;
    for (i = 0; i < COMPONENTS; i++)
        if (strcmp(mcu[i].name, component) == 0) return i;
    return -1;
}

/* The piece that is staged goes to the MCU. */
static void write_piece(char *words[])
{
    int i = mcu_of(Quos_stringRemoveMarks(words[0]));
    quint32_t size = (quint32_t)strtoul(words[1], NULL, 10), start = (quint32_t)strtoul(words[2], NULL, 10);
    quint32_t length = (quint32_t)strtoul(words[3], NULL, 10), at = start;
    quint8_t block[512];
    char path[512];
    if (i < 0) return;
    if (start == 0) {
        snprintf(path, sizeof path, "%s/%s.bin", folder, mcu[i].name);
        if (mcu[i].flash != NULL) fclose(mcu[i].flash);
        mcu[i].flash = fopen(path, "wb");
    }
    while (mcu[i].flash != NULL && at < start + length) {
        quint32_t count = Ql_iotCmdOtaMcuFWDataRead(at, block, sizeof block);
        if (count == 0 || fwrite(block, 1, count, mcu[i].flash) != count) return;
        at += count;
    }
    if (start + length < size) {
        Ql_iotCmdOtaAction(2);
        return;
    }
    fclose(mcu[i].flash);
    mcu[i].flash = NULL;
    Ql_iotCmdOtaAction(3);
    printf("version %s %d\n", mcu[i].name, (int)Ql_iotConfigSetMcuVersion(mcu[i].name, mcu[i].target));
}

/* Applications split the text of an event where it stands. */
static quint32_t split(const void *value, quint32_t length, char *words[])
{
    return value == NULL ? 0 : Quos_stringSplit((char *)(size_t)value, length, words, WORDS, ",", FALSE);
}

static void on_ota(qint32_t code, const void *value, quint32_t length)
{
    char *words[WORDS] = {NULL};
    int i;
    if (code == QIOT_OTA_UPDATE_FLAG) {
        /* SDK 2.9: a number; later: a text. */
        if (length == 4)
            printf("ota %d number %u\n", (int)code, *(const quint32_t *)value);
        else
            printf("ota %d text %s\n", (int)code, (const char *)value);
        return;
    }
    printf("ota %d %s\n", (int)code, value == NULL ? "" : (const char *)value);
    if (value != NULL && length != strlen(value)) printf("ota length %u\n", (unsigned)length);
    switch (code) {
    case QIOT_OTA_TASK_NOTIFY:
        if (split(value, length, words) != 6) return;
        Quos_stringRemoveMarks(words[0]);
        i = mcu_of(words[0]);
        if (i < 0) return;
        Quos_stringRemoveMarks(words[2]);
        snprintf(mcu[i].target, sizeof mcu[i].target, "%s", words[2]);
        /* One answer for all components, with the last of them. */
        if (i == COMPONENTS - 1) printf("confirm %d\n", (int)Ql_iotCmdOtaAction(1));
        break;
    case QIOT_OTA_DOWNLOADED:
        if (split(value, length, words) == 4) write_piece(words);
        break;
    default:
        break;
    }
}

static void on_event(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    switch (event) {
    case QIOT_ATEVENT_TYPE_OTA:
        on_ota(errcode, value, valLen);
        break;
    case QIOT_ATEVENT_TYPE_SEND:
        /* SDK 2.9: no value; later: the packet id. */
        printf("sent %d %u\n", (int)errcode, valLen == 4 ? *(const unsigned *)value : 0);
        break;
    case QIOT_ATEVENT_TYPE_RECV:
        printf("received %d %u\n", (int)errcode, (unsigned)valLen);
        if (errcode == QIOT_RECV_SUCC_TRANS) {
            printf("bytes %.*s\n", (int)valLen, (const char *)value);
            Ql_iotCmdBusPassTransSend(1, (quint8_t *)(size_t)value, valLen);
        }
        if (errcode == QIOT_RECV_SUCC_PHYMODEL_RECV) obey(value);
        if (errcode == QIOT_RECV_SUCC_PHYMODEL_REQ) answer((const quint16_t *)value, valLen);
        break;
    default:
        printf("event %u %d %u state %d\n", (unsigned)event, (int)errcode, (unsigned)valLen, (int)Ql_iotGetWorkState());
        if (event == QIOT_ATEVENT_TYPE_SUBCRIBE && errcode == QIOT_SUBCRIBE_SUCC) report_everything();
        break;
    }
    fflush(stdout);
}

int main(int argc, char *argv[])
{
    int i;
    if (argc != 5) return 2;
    folder = argv[4];
    if (!Ql_iotInit()) return 3;
    Ql_iotConfigSetEventCB(on_event);
    if (!Ql_iotConfigSetProductinfo(argv[2], argv[3]) || !Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, argv[1]) ||
        !Ql_iotConfigSetPdpContextId(1) || !Ql_iotConfigSetLifetime(120) || !Ql_iotConfigSetAppVersion("_A1"))
        return 4;
    for (i = 0; i < COMPONENTS; i++)
        if (!Ql_iotConfigSetMcuVersion(mcu[i].name, "1_0")) return 5;
    if (!Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ)) return 6;
    while (getchar() != EOF) {
    }
    return 0;
}
