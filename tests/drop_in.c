/* An existing application: the drop-in API over a platform of the port, against either header. */
#ifdef WITH_QTHSDK
#include "ql_api_qthsdk.h"
#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif
#else
#include "Ql_iotApi.h"
#endif

#include "fake_platform.h"

static fake_platform_t fake;
static int platform_is_there;

/* The port's object file wins over the weak one of the library. */
const quecota_platform_t *quecota_default_platform(void)
{
    return platform_is_there ? &fake.platform : NULL;
}

static int online, done, failed;
static unsigned pieces;
static quint32_t received, checkpoint;

static void on_piece(char **words)
{
    quint8_t data[1024];
    quint32_t total = (quint32_t)atoi(words[1]), start = (quint32_t)atoi(words[2]), length = (quint32_t)atoi(words[3]);
    CHECK_EQUAL(total, FAKE_FIRMWARE_SIZE);
    CHECK_EQUAL(Ql_iotCmdOtaMcuFWDataRead(start + length, data, sizeof data), 0);
    CHECK_EQUAL(Ql_iotCmdOtaMcuFWDataRead(start, NULL, sizeof data), 0);
    CHECK_EQUAL(Ql_iotCmdOtaMcuFWDataRead(start, data, 0), 0);
    while (received < start + length) {
        quint32_t count = Ql_iotCmdOtaMcuFWDataRead(received, data, sizeof data);
        CHECK(count > 0);
        for (quint32_t i = 0; i < count; i++) CHECK_EQUAL(data[i], fake_firmware(received + i));
        received += count;
    }
    /* What only the native API has, for the same device. */
    CHECK_EQUAL(quecota_ota_checkpoint(quecota_default_device(), received), QUECOTA_OK);
    CHECK_EQUAL(quecota_ota_get_checkpoint(quecota_default_device(), &checkpoint), QUECOTA_OK);
    CHECK_EQUAL(checkpoint, received);
    CHECK_EQUAL(Ql_iotCmdOtaAction(received < total ? 3 : 2), FALSE);
    CHECK_EQUAL(Ql_iotCmdOtaAction(received < total ? 2 : 3), TRUE);
    pieces++;
}

static void on_event(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    char *words[100];
    CHECK_EQUAL(HAL_STRLEN(value), valLen);
    if (event == QIOT_ATEVENT_TYPE_SUBCRIBE && errcode == QIOT_SUBCRIBE_SUCC) online = 1;
    if (event != QIOT_ATEVENT_TYPE_OTA) return;
    switch (errcode) {
    case QIOT_OTA_TASK_NOTIFY:
        /* The value is split in place, as every application does. */
        CHECK_EQUAL(Quos_stringSplit((char *)value, HAL_STRLEN(value), words, 100, ",", FALSE), 6);
        CHECK(strcmp(Quos_stringRemoveMarks(words[0]), "MCU") == 0);
        CHECK(strcmp(Quos_stringRemoveMarks(words[2]), "2") == 0);
        CHECK(strcmp(words[4], "-113") == 0);
        CHECK_EQUAL(Ql_iotCmdOtaAction(1), TRUE);
        CHECK_EQUAL(Ql_iotCmdOtaAction(1), TRUE);
        CHECK_EQUAL(Ql_iotCmdOtaAction(0), FALSE);
        break;
    case QIOT_OTA_DOWNLOADED:
        CHECK_EQUAL(Quos_stringSplit((char *)value, HAL_STRLEN(value), words, 100, ",", FALSE), 4);
        on_piece(words);
        break;
    case QIOT_OTA_UPDATING:
        CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "2"), TRUE);
        break;
    case QIOT_OTA_UPDATE_OK:
        done = 1;
        break;
    case QIOT_OTA_UPDATE_FAIL:
        failed = done = 1;
        break;
    default:
        break;
    }
}

static void everything_refuses_before_init(void)
{
    char *a = (char *)"a", *b = a, *c = a;
    quint8_t data[4];
    QIot_protocolType_t type = 9;
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), FALSE);
    CHECK_EQUAL(Ql_iotConfigGetConnmode(), QIOT_CONNMODE_IDLE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("pk", "ps"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://host.example:1883"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetLifetime(120), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetPdpContextId(1), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetSessionFlag(TRUE), FALSE);
    CHECK_EQUAL(Ql_iotConfigGetSessionFlag(), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetAppVersion("1"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "1"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetDkDs("dk", "ds"), FALSE);
    CHECK(Ql_iotConfigGetSoftVersion() == NULL);
    CHECK_EQUAL(Ql_iotConfigGetMcuVersion("MCU", &a), 0xFFFFFFFFu);
    CHECK_EQUAL(Ql_iotConfigGetProductinfo(&a, &b, &c), FALSE);
    CHECK(a == NULL && b == NULL && c == NULL);
    Ql_iotConfigGetServer(&type, &a);
    CHECK(a == NULL);
    CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_UNINITIALIZE);
    CHECK_EQUAL(Ql_iotCmdOtaRequest(0), FALSE);
    CHECK_EQUAL(Ql_iotCmdOtaAction(1), FALSE);
    CHECK_EQUAL(Ql_iotCmdOtaMcuFWDataRead(0, data, sizeof data), 0);
    CHECK_EQUAL(Ql_iotInit(), FALSE); /* no platform yet */
}

static void the_setters_rules(void)
{
    char *pk, *ps, *ver, *server, *version;
    QIot_protocolType_t type;
    const char *long_text = "123456789012345678901234567890123"; /* 33 */

    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_AUTO), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), FALSE); /* no product yet */
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE), TRUE);

    CHECK_EQUAL(Ql_iotConfigSetProductinfo(NULL, "ps"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("pk", NULL), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("", "ps"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1abcd", "MTIzNDU2Nzg5MGFi"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo(long_text, "ps"), TRUE); /* accepted, and ignored */
    CHECK(strstr(fake.line, "32 characters") != NULL);
    CHECK_EQUAL(Ql_iotConfigGetProductinfo(&pk, &ps, &ver), TRUE);
    CHECK(strcmp(pk, "p1abcd") == 0 && strcmp(ps, "MTIzNDU2Nzg5MGFi") == 0 && strcmp(ver, "3") == 0);
    Ql_iotConfigGetProductinfo(NULL, NULL, NULL);

    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_COAP, "mqtt://cloud.example:1883"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, NULL), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT,
                                      "mqtt://a-host-whose-name-is-much-too-long-for-this-library.example:1883"),
                FALSE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "https://iot-south.quectel.com:2884"), TRUE);
    Ql_iotConfigGetServer(&type, &server);
    CHECK_EQUAL(type, QIOT_PPROTOCOL_MQTT);
    CHECK(strcmp(server, "mqtts://iot-south.quectel.com:8883") == 0);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://cloud.example:1883"), TRUE);
    Ql_iotConfigGetServer(NULL, &server);
    CHECK(strcmp(server, "mqtt://cloud.example:1883") == 0);
    Ql_iotConfigGetServer(NULL, NULL);

    CHECK_EQUAL(Ql_iotConfigGetLifetime(), 120);
    CHECK_EQUAL(Ql_iotConfigSetLifetime(0), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetLifetime(65536), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetLifetime(300), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetLifetime(), 300);

    CHECK_EQUAL(Ql_iotConfigGetPdpContextId(), 1);
    CHECK_EQUAL(Ql_iotConfigSetPdpContextId(0), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetPdpContextId(16), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetPdpContextId(2), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetPdpContextId(), 2);

    CHECK_EQUAL(Ql_iotConfigGetSessionFlag(), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetSessionFlag(TRUE), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetSessionFlag(), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetSessionFlag(FALSE), TRUE);

    CHECK(strcmp(Ql_iotConfigGetSoftVersion(), "FWV1") == 0);
    CHECK_EQUAL(Ql_iotConfigSetAppVersion("_app3"), TRUE);
    CHECK(strcmp(Ql_iotConfigGetSoftVersion(), "FWV1_app3") == 0);
    CHECK_EQUAL(Ql_iotConfigSetAppVersion(NULL), TRUE);
    CHECK(strcmp(Ql_iotConfigGetSoftVersion(), "FWV1") == 0);

    CHECK_EQUAL(Ql_iotConfigSetMcuVersion(NULL, "1"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", NULL), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("", "1"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion(long_text, "1"), FALSE);
    CHECK_EQUAL(Ql_iotConfigGetMcuVersion("MCU", &version), 0xFFFFFFFFu);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("STM32", "1_0_0"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "1"), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetMcuVersion("STM32", &version), 5);
    CHECK(strncmp(version, "1_0_0", 5) == 0);
    CHECK_EQUAL(Ql_iotConfigGetMcuVersion("STM32", NULL), 0);
    CHECK_EQUAL(Ql_iotConfigGetMcuVersion(NULL, &version), 17);
    CHECK(strcmp(version, "STM32:1_0_0;MCU:1") == 0);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("STM32", ""), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetMcuVersion(NULL, &version), 5);

    CHECK_EQUAL(Ql_iotConfigSetDkDs("860000000000001", "secret"), FALSE); /* the hardware id itself */
    CHECK_EQUAL(Ql_iotConfigSetDkDs("12345678901234567", "secret"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetDkDs("no spaces", "secret"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetDkDs(NULL, "secret"), FALSE);
    CHECK_EQUAL(Ql_iotConfigSetDkDs("MYDEVICE1", "secret"), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetDkDs(&pk, &ps), TRUE);
    CHECK(strcmp(pk, "MYDEVICE1") == 0 && strcmp(ps, "secret") == 0);
    CHECK_EQUAL(Ql_iotConfigSetDkDs("", ""), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetDkDs(&pk, NULL), TRUE);
    CHECK(strcmp(pk, "860000000000001") == 0);
}

int main(void)
{
    fake_init(&fake);
    everything_refuses_before_init();
    platform_is_there = 1;
    CHECK(quecota_default_device() == NULL);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK(quecota_default_device() == fake.device);
    CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_INITIALIZED);
    the_setters_rules();
    Ql_iotConfigSetEventCB(on_event);

    CHECK_EQUAL(Ql_iotCmdOtaRequest(0), FALSE); /* offline */
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    CHECK_EQUAL(Ql_iotConfigGetConnmode(), QIOT_CONNMODE_REQ);
    CHECK_EQUAL(fake.connects, 1);
    CHECK(fake_run(&fake, fake.device, &online, 60000));
    CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_SUBSCRIBED);
    CHECK_EQUAL(Ql_iotConfigSetLifetime(60), FALSE); /* not idle */
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("other", "other"), FALSE);

    /* A mode that does not exist: FALSE, and nothing is sent. */
    fake_run(&fake, fake.device, &done, 10000);
    CHECK_EQUAL(Ql_iotCmdOtaRequest(2), FALSE);
    fake_run(&fake, fake.device, &done, 10000);
    CHECK(!fake.plan && fake.state_count == 0);

    CHECK_EQUAL(Ql_iotCmdOtaRequest(0), TRUE);
    CHECK(fake_run(&fake, fake.device, &done, 120000));
    CHECK(!failed);
    CHECK_EQUAL(received, FAKE_FIRMWARE_SIZE);
    CHECK(pieces > 3);

    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE), TRUE);
    CHECK(fake.disconnects > 0);
    puts("drop_in: passed");
    return 0;
}
