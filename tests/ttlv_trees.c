/* Random trees of values, built by the calls of the SDK, sent, compared byte by byte with an encoder of this test's own, sent
 * back, and read by every getter; and the same bytes damaged. A failure is repeated by its seed.
 *
 *   ttlv_trees [COUNT [SEED]]
 */
#ifdef WITH_QTHSDK
#include "ql_api_qthsdk.h"
#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif
#else
#include "Ql_iotApi.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_platform.h"

#define COUNT     2000
#define SEED      0x5EEDu
#define DEPTH_MAX 8
#define SIZE_MAX_ 700 /* bytes of a tree that fake_send() takes, also when every one is stuffed */
#define NODES     512
#define BYTES_MAX 12

static fake_platform_t fake;

const quecota_platform_t *quecota_default_platform(void)
{
    return &fake.platform;
}

/* ----------------------------------------------------------------------------------------------------- the model */

typedef enum { BOOL, INT, FLOAT, BYTES, TEXT, RAW, TREE } kind_t;

/* Nodes of a tree stand behind their parent, those of one list linked. */
typedef struct node {
    kind_t kind;
    quint16_t id;
    qint64_t number; /* of a float: without its decimals */
    int decimals;
    quint8_t bytes[BYTES_MAX + 1];
    size_t length;
    struct node *first, *next;
} node_t;

static node_t nodes[NODES];
static size_t used;
static unsigned long long state;

static unsigned long long below(unsigned long long limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

static void fill(node_t *node, int depth);

/* A list of up to six elements; `depth` lists are around it. */
static node_t *make_list(int depth)
{
    node_t *first = NULL, **link = &first;
    int is_array = below(4) == 0;
    unsigned long long count = 1 + below(6), i;
    quint16_t id = 0;
    for (i = 0; i < count && used < NODES; i++) {
        node_t *node = &nodes[used++];
        memset(node, 0, sizeof *node);
        if (!is_array) id = (quint16_t)(id + 1 + below(1000));
        node->id = id;
        fill(node, depth);
        *link = node;
        link = &node->next;
    }
    return first;
}

static void fill(node_t *node, int depth)
{
    size_t i;
    node->kind = (kind_t)below(depth < DEPTH_MAX && used < NODES ? 7 : 6);
    switch (node->kind) {
    case BOOL:
        node->number = (qint64_t)below(2);
        break;
    case INT:
        node->number = (qint64_t)(below(~0ull) >> below(64));
        if (below(2)) node->number = -node->number;
        break;
    case FLOAT:
        /* Up to 15 digits, which a double holds, and none of them superfluous. */
        node->number = (qint64_t)(below(1000000000000000ull) >> below(50));
        if (node->number % 10 == 0) node->number++;
        if (below(2)) node->number = -node->number;
        node->decimals = 1 + (int)below(9);
        break;
    case BYTES:
    case TEXT:
    case RAW:
        node->length = (size_t)below(BYTES_MAX + 1);
        for (i = 0; i < node->length; i++) node->bytes[i] = (quint8_t)(below(4) ? below(256) : 0xAA);
        if (node->kind == TEXT)
            for (i = 0; i < node->length; i++) node->bytes[i] |= 1; /* no NUL */
        break;
    case TREE:
        node->first = make_list(depth + 1);
        break;
    }
}

/* ----------------------------------------------------------------------------------------- the encoder of this test */

static size_t put(quint8_t *out, size_t at, size_t room, const node_t *first)
{
    const node_t *node, *inner;
    for (node = first; node != NULL; node = node->next) {
        unsigned tag = (unsigned)node->id << 3;
        unsigned long long magnitude =
            node->number < 0 ? 0ull - (unsigned long long)node->number : (unsigned long long)node->number;
        unsigned count = 1, shift;
        if (at + 16 + BYTES_MAX > room) return room + 1;
        tag |= node->kind == BOOL ? (unsigned)node->number : node->kind <= FLOAT ? 2u : node->kind == TREE ? 4u : 3u;
        out[at++] = (quint8_t)(tag >> 8);
        out[at++] = (quint8_t)tag;
        switch (node->kind) {
        case BOOL:
            break;
        case INT:
        case FLOAT:
            while (count < 8 && magnitude >> (8 * count)) count++;
            out[at++] = (quint8_t)((node->number < 0 ? 0x80u : 0u) | (unsigned)node->decimals << 3 | (count - 1));
            for (shift = count; shift-- > 0;) out[at++] = (quint8_t)(magnitude >> (8 * shift));
            break;
        case BYTES:
        case TEXT:
        case RAW:
            out[at++] = 0;
            out[at++] = (quint8_t)node->length;
            memcpy(out + at, node->bytes, node->length);
            at += node->length;
            break;
        case TREE:
            for (count = 0, inner = node->first; inner != NULL; inner = inner->next) count++;
            out[at++] = 0;
            out[at++] = (quint8_t)count;
            at = put(out, at, room, node->first);
            if (at > room) return at;
            break;
        }
    }
    return at;
}

/* -------------------------------------------------------------------------------------------------- by the SDK's calls */

static void *build(const node_t *first)
{
    void *list = NULL, *inner;
    const node_t *node;
    for (node = first; node != NULL; node = node->next) {
        qbool added = FALSE;
        switch (node->kind) {
        case BOOL:
            added = Ql_iotTtlvIdAddBool(&list, node->id, (qbool)node->number);
            break;
        case INT:
            added = Ql_iotTtlvIdAddInt(&list, node->id, node->number);
            break;
        case FLOAT: {
            double value = (double)node->number / power[node->decimals];
            added = below(2) ? Ql_iotTtlvIdAddFloat(&list, node->id, value)
                             : Ql_iotTtlvIdAddFloat_ex(&list, node->id, value, (quint8_t)node->decimals);
            break;
        }
        case BYTES:
            added = Ql_iotTtlvIdAddByte(&list, node->id, node->bytes, (quint32_t)node->length);
            break;
        case TEXT:
            added = Ql_iotTtlvIdAddString(&list, node->id, (const char *)node->bytes);
            break;
        case RAW:
            added = Ql_iotTtlvIdAddRaw(&list, node->id, node->bytes, (quint32_t)node->length);
            break;
        case TREE:
            inner = build(node->first);
            added = Ql_iotTtlvIdAddStruct(&list, node->id, inner);
            break;
        }
        CHECK_EQUAL(added, TRUE);
    }
    return list;
}

static QIot_dpDataType_e type_on_the_wire(const node_t *node)
{
    switch (node->kind) {
    case BOOL:
        return QIOT_DPDATA_TYPE_BOOL;
    case INT:
        return QIOT_DPDATA_TYPE_INT;
    case FLOAT:
        return QIOT_DPDATA_TYPE_FLOAT;
    case TREE:
        return QIOT_DPDATA_TYPE_STRUCT;
    default:
        return QIOT_DPDATA_TYPE_BYTE;
    }
}

/* Every getter of a node and of its id finds its value or, being of another type, nothing. */
static void is_same(const void *list, const node_t *first)
{
    const node_t *node;
    quint16_t index = 0;
    for (node = first; node != NULL; node = node->next, index++) {
        quint16_t id = 0xFFFF;
        QIot_dpDataType_e type, wanted = type_on_the_wire(node);
        void *found = Ql_iotTtlvNodeGet(list, index, &id, &type);
        qbool flag = FALSE;
        qint64_t number = 0;
        double real = 0;
        quint8_t *data = NULL;
        CHECK(found != NULL);
        CHECK_EQUAL(id, node->id);
        CHECK_EQUAL(type, wanted);
        CHECK_EQUAL(Ql_iotTtlvNodeGetBool(found, &flag), node->kind == BOOL);
        CHECK_EQUAL(flag, node->kind == BOOL && node->number);
        CHECK_EQUAL(Ql_iotTtlvNodeGetInt(found, &number), node->kind == INT);
        if (node->kind == INT) CHECK_EQUAL(number, node->number);
        CHECK_EQUAL(Ql_iotTtlvNodeGetFloat(found, &real), node->kind == INT || node->kind == FLOAT);
        if (node->kind == FLOAT) CHECK(real == (double)node->number / power[node->decimals]);
        if (wanted == QIOT_DPDATA_TYPE_BYTE) {
            CHECK_EQUAL(Ql_iotTtlvNodeGetByte(found, &data), node->length);
            CHECK(memcmp(data, node->bytes, node->length) == 0 && data[node->length] == 0);
            CHECK(Ql_iotTtlvNodeGetString(found) == (char *)data);
        } else {
            CHECK_EQUAL(Ql_iotTtlvNodeGetByte(found, &data), 0);
            CHECK(Ql_iotTtlvNodeGetString(found) == NULL);
        }
        if (node->kind == TREE)
            is_same(Ql_iotTtlvNodeGetStruct(found), node->first);
        else
            CHECK(Ql_iotTtlvNodeGetStruct(found) == NULL);
        if (node->id != 0) {
            CHECK_EQUAL(Ql_iotTtlvIdGetType(list, node->id, &type), TRUE);
            CHECK_EQUAL(type, wanted);
            CHECK_EQUAL(Ql_iotTtlvIdGetInt(list, node->id, &number), node->kind == INT);
        }
    }
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), index);
    CHECK(Ql_iotTtlvNodeGet(list, index, NULL, NULL) == NULL);
}

/* ------------------------------------------------------------------------------------------------------- both ways */

static const node_t *expected; /* NULL: whatever comes */
static int is_sent, is_received;
static unsigned walked;

/* Looks at everything that is there. */
static void walk(const void *list, int depth)
{
    quint32_t count = Ql_iotTtlvCountGet(list), i;
    CHECK(depth <= DEPTH_MAX);
    for (i = 0; i < count; i++) {
        quint16_t id;
        QIot_dpDataType_e type;
        void *node = Ql_iotTtlvNodeGet(list, (quint16_t)i, &id, &type);
        quint8_t *data = NULL;
        quint32_t length = Ql_iotTtlvNodeGetByte(node, &data), at;
        double real;
        walked += (unsigned)Ql_iotTtlvNodeGetFloat(node, &real) + id;
        for (at = 0; at < length; at++) walked += data[at];
        if (type == QIOT_DPDATA_TYPE_STRUCT) walk(Ql_iotTtlvNodeGetStruct(node), depth + 1);
    }
}

static void on_event(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    if (event == QIOT_ATEVENT_TYPE_SEND && errcode == QIOT_SEND_SUCC_PHYMODEL) is_sent = 1;
    if (event == QIOT_ATEVENT_TYPE_RECV && errcode == QIOT_RECV_SUCC_PHYMODEL_RECV) {
        CHECK_EQUAL(valLen, 0);
        if (expected != NULL)
            is_same(value, expected);
        else
            walk(value, 0);
        is_received = 1;
    }
}

/* Until it is done or the device has sent something. */
static void run_until(const int *done)
{
    size_t before = fake.frame_count;
    int steps;
    for (steps = 0; !*done && (done == &is_sent || fake.frame_count == before) && steps < 100; steps++) {
        quecota_poll(fake.device);
        if (!fake_answer(&fake, fake.device)) fake.now++;
    }
}

static void one_tree(unsigned long long seed)
{
    static quint8_t bytes[SIZE_MAX_ + 64];
    const node_t *tree;
    const fake_frame_t *frame;
    void *list, *same;
    size_t length;
    state = seed * 0x9E3779B97F4A7C15ull + 1;
    do {
        used = 0;
        tree = make_list(0);
        length = put(bytes, 0, SIZE_MAX_, tree);
    } while (length > SIZE_MAX_);

    list = same = build(tree);
    CHECK(list != NULL);
    is_sent = is_received = 0;
    CHECK_EQUAL(Ql_iotCmdBusPhymodelReport(0, list), TRUE);
    Ql_iotTtlvFree(&list);
    CHECK(list == NULL);
    CHECK_EQUAL(Ql_iotTtlvCountGet(same), 0);
    run_until(&is_sent);
    CHECK(is_sent);
    frame = fake_last(&fake, 0x0014);
    CHECK(frame != NULL);
    CHECK_EQUAL(frame->length, length);
    CHECK(memcmp(frame->payload, bytes, length) == 0);

    expected = tree;
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0013, bytes, length), QUECOTA_OK);
    run_until(&is_received);
    CHECK(is_received);

    /* Damaged: values or a complaint. */
    expected = NULL;
    is_received = 0;
    if (below(2)) length = (size_t)below(length + 1);
    if (length > 0 && below(4)) bytes[below(length)] = (quint8_t)below(256);
    CHECK_EQUAL(fake_send(fake.device, &fake, 0x0013, bytes, length), QUECOTA_OK);
    run_until(&is_received);
}

/* The tree that is looked at; 0: none. */
static unsigned long long current;

static void name_seed(void)
{
    if (current) fprintf(stderr, "the tree alone: ttlv_trees 1 %llu\n", current);
}

int main(int argc, char *argv[])
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : COUNT, i;
    unsigned long long seed = argc > 2 ? strtoull(argv[2], NULL, 0) : SEED;
    const int never = 0;
    fake_init(&fake);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    Ql_iotConfigSetEventCB(on_event);
    Ql_iotConfigSetProductinfo("p1abcd", "MTIzNDU2Nzg5MGFi");
    Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://cloud.example:1883");
    Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ);
    fake_run(&fake, fake.device, &never, 5000);
    CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_SUBSCRIBED);
    atexit(name_seed);
    for (i = 0; i < count; i++) {
        current = seed + i;
        one_tree(current);
    }
    current = 0;
    printf("%lu trees from seed %llu: as they should be\n", count, seed);
    return 0;
}
