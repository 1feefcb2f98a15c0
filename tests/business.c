/* Business data both ways, by the application c-examples/business.c over a platform of the port, against either header. */
#define WITHOUT_MAIN
#define SERVER "mqtt://cloud.example:1883"
#include "../c-examples/business.c"

#include "fake_platform.h"

static fake_platform_t fake;

const quecota_platform_t *quecota_default_platform(void)
{
    return &fake.platform;
}

static int sent[8], not_sent[8];
#ifdef WITH_QTHSDK
static quint32_t last_packet;
#endif
static const int never;
static void *kept;

/* Counts what the application is told, then lets it do its work. */
static void counting(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    if (event == QIOT_ATEVENT_TYPE_SEND) {
        int kind = (errcode % 100) / 10;
        *(errcode < 10300 ? &sent[kind] : &not_sent[kind]) += 1;
#ifdef WITH_QTHSDK
        CHECK_EQUAL(valLen, 4);
        last_packet = *(const quint32_t *)value;
#else
        CHECK(value == NULL && valLen == 0);
#endif
    }
    if (event == QIOT_ATEVENT_TYPE_RECV && errcode == QIOT_RECV_SUCC_PHYMODEL_RECV) {
        void *received = (void *)(size_t)value, *list = NULL;
        kept = received;
        CHECK_EQUAL(valLen, 0);
        /* It is the library's: it cannot be changed, freed or given away. */
        CHECK_EQUAL(Ql_iotTtlvIdAddInt(&received, 9, 9), FALSE);
        CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&list, 1, received), FALSE);
        Ql_iotTtlvFree(&received);
        CHECK(received == NULL && Ql_iotTtlvCountGet(value) > 0);
    }
    on_event(event, errcode, value, valLen);
}

static void run(void)
{
    fake_run(&fake, fake.device, &never, 3000);
}

static void is_last(unsigned command, unsigned qos, const char *leaf, const char *payload, size_t length)
{
    const fake_frame_t *frame = fake_last(&fake, command);
    CHECK(frame != NULL);
    CHECK_EQUAL(frame->qos, qos);
    CHECK(strcmp(frame->leaf, leaf) == 0);
    CHECK_EQUAL(frame->length, length);
    CHECK(memcmp(frame->payload, payload, length) == 0);
}
#define IS_LAST(command, qos, leaf, payload) is_last(command, qos, leaf, payload, sizeof payload - 1)

static void what_is_reported_goes_out_as_the_protocol_has_it(void)
{
    IS_LAST(0x0014, 1, "bus",
            "\x00\x08" "\x00\x12\x08\xEB" "\x00\x1B\x00\x04pump" "\x00\x22\x00\x29"
            "\x00\x2C\x00\x02\x00\x0A\x00\x03\x00\x12\x80\x04" "\x00\x34\x00\x02\x00\x02\x00\x0A\x00\x02\x00\x14");
    IS_LAST(0x0024, 1, "bus", "hello");
    IS_LAST(0x0034, 1, "sys", "\x00\x0A\x00\x50\x00\x22\x01\x80\x00");
    IS_LAST(0x0044, 1, "sys", "\x00\x13\x00\x04" "FWV1" "\x00\x1B\x00\x00");
    IS_LAST(0x0122, 1, "bus", "\x00\x13\x00\x12$GNGGA,1;$GNRMC,2;");
    CHECK_EQUAL(sent[0], 1);
    CHECK_EQUAL(sent[1], 1);
    CHECK_EQUAL(sent[2], 1);
    CHECK_EQUAL(sent[3], 1);
    CHECK_EQUAL(sent[4], 1);
}

static void a_report_tells_what_holds_when_it_goes_out(void)
{
    quint16_t versions = QIOT_DPID_INFO_MCU_VER;
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "1"), TRUE);
    CHECK_EQUAL(Ql_iotCmdSysDevInfoReport(&versions, 1), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", "2"), TRUE);
    run();
    IS_LAST(0x0044, 1, "sys", "\x00\x1B\x00\x05MCU:2");
    CHECK_EQUAL(Ql_iotConfigSetMcuVersion("MCU", ""), TRUE);
}

static void values_that_the_platform_sets_arrive(void)
{
    const uint8_t set[] = {0, 9, 0, 0x22, 0, 99};
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0013, set, sizeof set), QUECOTA_OK);
    run();
    CHECK_EQUAL(is_on, TRUE);
    CHECK_EQUAL(counter, 99);
    is_last(0x0014, 2, "bus", (const char *)set, sizeof set);
    CHECK_EQUAL(sent[1], 2);
    CHECK_EQUAL(Ql_iotTtlvCountGet(kept), 0); /* gone with the callback */
}

static void a_question_is_answered_with_its_packet_id(void)
{
    const uint8_t ids[] = {0, SWITCH, 0, COUNTER, 0, 77};
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0011, ids, sizeof ids), QUECOTA_OK);
    run();
    IS_LAST(0x0012, 1, "bus", "\x00\x09\x00\x22\x00\x63");
    CHECK(fake_last(&fake, 0x0012)->packet != 0);
    CHECK_EQUAL(sent[1], 3);
}

static void bytes_pass_both_ways(void)
{
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0023, (const uint8_t *)"\xAA\x55zurueck", 9), QUECOTA_OK);
    run();
    IS_LAST(0x0024, 0, "bus", "\xAA\x55zurueck");
    /* Several at once, one after the other. */
    for (int i = 0; i < 5; i++) {
        char text[2] = {(char)('0' + i), 0};
        CHECK_EQUAL(fake_send(fake.device, &fake, 0x0023, (const uint8_t *)text, 1), QUECOTA_OK);
    }
    int before = sent[0];
    run();
    CHECK_EQUAL(sent[0] - before, 5);
    IS_LAST(0x0024, 0, "bus", "4");
}

static void values_that_are_no_ttlv_are_refused(void)
{
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0013, (const uint8_t *)"\x00", 1), QUECOTA_OK);
    run();
    const fake_frame_t *complaint = fake_last(&fake, 0x00A4);
    CHECK(complaint != NULL && strcmp(complaint->leaf, "sys") == 0);
    CHECK(memcmp(complaint->payload, "\x00\x0A\x00\x05", 4) == 0);
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0011, (const uint8_t *)"\x00", 1), QUECOTA_OK);
    run();
}

static void what_cannot_be_sent_is_refused_with_a_line(void)
{
    static quint8_t bytes[3000];
    void *list = NULL;
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend(3, bytes, 1), FALSE);
    CHECK(strstr(fake.line, "QoS") != NULL);
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend(0, bytes, sizeof bytes), FALSE);
    CHECK(strstr(fake.line, "longer than a frame") != NULL);
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend(0, NULL, 1), FALSE);
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend(0, bytes, 0), FALSE);
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend_ex(0, bytes, sizeof bytes), -1);
    CHECK_EQUAL(Ql_iotCmdBusPhymodelReport(0, NULL), FALSE);
    CHECK_EQUAL(Ql_iotCmdBusPhymodelReport(0, bytes), FALSE);
    CHECK_EQUAL(Ql_iotCmdBusPhymodelAck(0, 0, NULL), FALSE);
    CHECK_EQUAL(Ql_iotCmdBusLocReportOutside(NULL), FALSE);
    Ql_iotTtlvIdAddInt(&list, 1, 1);
    CHECK_EQUAL(Ql_iotCmdBusLocReportOutside(list), FALSE);
    Ql_iotTtlvFree(&list);
    CHECK_EQUAL(Ql_iotCmdBusLocReportInside(NULL), FALSE);
    CHECK(strstr(fake.line, "no position receiver") != NULL);
    CHECK_EQUAL(Ql_iotCmdSysStatusReport(NULL, 3), FALSE);
    CHECK_EQUAL(Ql_iotCmdSysNTPReq(), FALSE);
    CHECK_EQUAL(Ql_iotSubDevHTB("pk", "dk"), FALSE);
    CHECK(strstr(fake.line, "Ql_iotSubDevHTB() is refused: ") == fake.line);
    /* What waits is bounded. */
    int accepted = 0;
    while (Ql_iotCmdBusPassTransSend(1, bytes, 1000)) accepted++;
    CHECK_EQUAL(accepted, 4);
    CHECK(strstr(fake.line, "fill the buffer") != NULL);
    int before = sent[0];
    run();
    CHECK_EQUAL(sent[0] - before, accepted);
}

static const char *kinds = "", *position = "";

static const char *position_kinds(void *ctx)
{
    CHECK_EQUAL(((fake_platform_t *)ctx)->locked, 1);
    return kinds;
}

static uint32_t last_position(void *ctx, const char *kind, char *sentence, uint32_t room)
{
    CHECK_EQUAL(((fake_platform_t *)ctx)->locked, 1);
    CHECK(room >= 82);
    return (uint32_t)snprintf(sentence, room, position, kind);
}

/* Calls the function of both kinds with the titles; each is refused with a line that has `rule`. */
static void no_position(void *titles, const char *rule)
{
    CHECK_EQUAL(Ql_iotCmdBusLocReportInside(titles), FALSE);
    CHECK(strstr(fake.line, "Ql_iotCmdBusLocReportInside() is refused: ") == fake.line && strstr(fake.line, rule) != NULL);
    CHECK_EQUAL(Ql_iotCmdBusLocReportInside_ex(titles), -1);
    CHECK(strstr(fake.line, rule) != NULL);
    CHECK(Ql_iotLocGetData(titles) == NULL);
    CHECK(strstr(fake.line, "Ql_iotLocGetData() is refused: ") == fake.line && strstr(fake.line, rule) != NULL);
}

static void the_platform_s_receiver_says_where_the_device_is(void)
{
    void *list, *titles = NULL;
    qint32_t packet;
    int before = sent[2];
    kinds = "GGA,RMC";
    position = "$GN%s,1*2F";
    list = Ql_iotLocGetSupList();
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), 2);
    CHECK(strcmp(Ql_iotTtlvNodeGetString(Ql_iotTtlvNodeGet(list, 1, NULL, NULL)), "RMC") == 0);
    CHECK_EQUAL(Ql_iotCmdBusLocReportInside(NULL), TRUE);
    run();
    IS_LAST(0x0122, 1, "bus", "\x00\x13\x00\x18$GNGGA,1*2F;$GNRMC,1*2F;");
    packet = Ql_iotCmdBusLocReportInside_ex(list); /* what is supported, is what may be asked for */
    CHECK(packet > 0);
    run();
    CHECK_EQUAL(fake_last(&fake, 0x0122)->packet, packet);
    Ql_iotTtlvFree(&list);

    CHECK_EQUAL(Ql_iotTtlvIdAddString(&titles, 1, "rmc"), TRUE);
    CHECK_EQUAL(Ql_iotCmdBusLocReportInside(titles), TRUE);
    run();
    IS_LAST(0x0122, 1, "bus", "\x00\x13\x00\x0C$GNRMC,1*2F;");
    CHECK_EQUAL(sent[2] - before, 3);
    list = Ql_iotLocGetData(titles);
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), 1);
    CHECK(strcmp(Ql_iotTtlvNodeGetString(Ql_iotTtlvNodeGet(list, 0, NULL, NULL)), "$GNRMC,1*2F") == 0);
    CHECK_EQUAL(Ql_iotCmdBusLocReportOutside(list), TRUE); /* and what was read may be reported */
    run();
    IS_LAST(0x0122, 1, "bus", "\x00\x13\x00\x0C$GNRMC,1*2F;");
    Ql_iotTtlvFree(&list);

    position = "";
    no_position(NULL, "no sentence now");
    position = "$GN%s;";
    no_position(NULL, "no NMEA sentence");
    position = "%300s"; /* more than there is room for */
    CHECK_EQUAL(Ql_iotCmdBusLocReportInside(NULL), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddString(&titles, 1, "GSV"), TRUE);
    no_position(titles, "kinds of Ql_iotLocGetSupList()");
    Ql_iotTtlvFree(&titles);
    no_position((void *)&fake, "holds no kind");
    kinds = "1234567,1234567,1234567,1234567,1234567,1234567,1234567,1234567,1";
    no_position(NULL, "more than 63 characters");
    kinds = "";
    no_position(NULL, "no position receiver");
}

static void packet_ids_come_back(void)
{
    quint8_t byte = 1;
    qint32_t packet = Ql_iotCmdBusPassTransSend_ex(1, &byte, 1);
    CHECK(packet > 0);
    run();
    CHECK_EQUAL(fake_last(&fake, 0x0024)->packet, packet);
#ifdef WITH_QTHSDK
    CHECK_EQUAL(last_packet, packet);
#endif
}

static void the_device_tells_of_itself(void)
{
    quint16_t ids[] = {QIOT_DPID_STATUS_BATTERY, 31, QIOT_DPID_STATUS_SNR}, version = QIOT_DPID_INFO_MODEL_VER;
    qint64_t battery = 0;
    void *list = Ql_iotSysGetDevStatus(ids, 3);
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), 1);
    CHECK_EQUAL(Ql_iotTtlvIdGetInt(list, QIOT_DPID_STATUS_BATTERY, &battery), TRUE);
    CHECK_EQUAL(battery, 80);
    Ql_iotTtlvFree(&list);
    list = Ql_iotSysGetDevInfo(&version, 1);
    CHECK(strcmp(Ql_iotTtlvIdGetString(list, QIOT_DPID_INFO_MODEL_VER), "FWV1") == 0);
    Ql_iotTtlvFree(&list);
    CHECK(Ql_iotSysGetDevInfo(NULL, 1) == NULL);
    CHECK(Ql_iotLocGetSupList() == NULL);
}

static void what_waits_when_the_link_is_lost_is_told(void)
{
    quint8_t byte = 1;
    int before = not_sent[0];
    for (int i = 0; i < 3; i++) CHECK_EQUAL(Ql_iotCmdBusPassTransSend(1, &byte, 1), TRUE);
    Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE);
    CHECK_EQUAL(Ql_iotCmdBusPassTransSend(1, &byte, 1), FALSE);
    CHECK(strstr(fake.line, "not connected") != NULL);
    run();
    CHECK_EQUAL(not_sent[0] - before, 3);
}

static void a_reset_forgets_the_secret_and_a_clear_the_product(void)
{
    char *key, *secret;
    unsigned connects = fake.connects;
    Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ);
    run();
    CHECK_EQUAL(fake.password[0], '1'); /* a login */
    Ql_iotRst();
    run();
    CHECK_EQUAL(fake.password[0], '0'); /* a bootstrap */
    CHECK_EQUAL(fake.connects - connects, 2);
    CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_SUBSCRIBED);
    CHECK_EQUAL(Ql_iotClear(), TRUE);
    Ql_iotConfigGetProductinfo(&key, &secret, NULL);
    CHECK_EQUAL(strlen(key) + strlen(secret), 0);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), FALSE);
}

int main(void)
{
    fake_init(&fake);
    fake.system.position_kinds = position_kinds;
    fake.system.position = last_position;
    application_start();
    CHECK(fake.device != NULL);
    Ql_iotConfigSetEventCB(counting);
    run();
    what_is_reported_goes_out_as_the_protocol_has_it();
    a_report_tells_what_holds_when_it_goes_out();
    values_that_the_platform_sets_arrive();
    a_question_is_answered_with_its_packet_id();
    bytes_pass_both_ways();
    values_that_are_no_ttlv_are_refused();
    what_cannot_be_sent_is_refused_with_a_line();
    the_platform_s_receiver_says_where_the_device_is();
    packet_ids_come_back();
    the_device_tells_of_itself();
    what_waits_when_the_link_is_lost_is_told();
    a_reset_forgets_the_secret_and_a_clear_the_product();
    puts("business: as it should be");
    return 0;
}
