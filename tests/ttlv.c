/* TTLV lists as applications use and misuse them. */
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

const quecota_platform_t *quecota_default_platform(void)
{
    return NULL;
}

static void *a_list_of_every_type(void)
{
    void *list = NULL, *inner = NULL, *array = NULL;
    const quint8_t bytes[] = {0, 0xAA, 0x55};
    CHECK_EQUAL(Ql_iotTtlvIdAddBool(&list, 1, TRUE), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 2, -113), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddFloat(&list, 3, 3.7), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddString(&list, 4, "text"), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddByte(&list, 5, bytes, sizeof bytes), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddRaw(&list, 6, bytes, 1), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddBool(&inner, 8191, FALSE), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&list, 7, inner), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&array, 0, 1), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&array, 0, 2), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&list, 8, array), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddFloat_ex(&list, 9, 2.0049, 2), TRUE);
    return list;
}

static void what_was_added_is_found_by_index_and_by_id(void)
{
    void *list = a_list_of_every_type(), *node, *inner;
    quint16_t id;
    QIot_dpDataType_e type;
    qbool flag;
    qint64_t number;
    double real;
    quint8_t *data;
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), 9);
    for (quint16_t index = 0; index < 9; index++) {
        node = Ql_iotTtlvNodeGet(list, index, &id, &type);
        CHECK(node != NULL);
        CHECK_EQUAL(id, index + 1);
        QIot_dpDataType_e same = -1;
        CHECK_EQUAL(Ql_iotTtlvNodeGetType(node, &same), TRUE);
        CHECK_EQUAL(same, type);
        CHECK_EQUAL(Ql_iotTtlvIdGetType(list, id, &same), TRUE);
        CHECK_EQUAL(same, type);
        switch (type) {
        case QIOT_DPDATA_TYPE_BOOL:
            CHECK_EQUAL(Ql_iotTtlvNodeGetBool(node, &flag), TRUE);
            CHECK_EQUAL(flag, TRUE);
            CHECK_EQUAL(Ql_iotTtlvNodeGetInt(node, &number), FALSE);
            break;
        case QIOT_DPDATA_TYPE_INT:
            CHECK_EQUAL(Ql_iotTtlvNodeGetInt(node, &number), TRUE);
            CHECK_EQUAL(number, -113);
            CHECK_EQUAL(Ql_iotTtlvNodeGetFloat(node, &real), TRUE);
            CHECK(real == -113.0);
            break;
        case QIOT_DPDATA_TYPE_FLOAT:
            CHECK_EQUAL(Ql_iotTtlvNodeGetFloat(node, &real), TRUE);
            CHECK(id == 3 ? real == 3.7 : real == 2.0);
            CHECK_EQUAL(Ql_iotTtlvNodeGetInt(node, &number), id == 9);
            break;
        case QIOT_DPDATA_TYPE_TEXT:
            if (id == 4) {
                CHECK(strcmp(Ql_iotTtlvNodeGetString(node), "text") == 0);
            } else {
                CHECK_EQUAL(Ql_iotTtlvNodeGetByte(node, &data), 3);
                CHECK(memcmp(data, "\0\xAA\x55", 4) == 0);
            }
            break;
        case QIOT_DPDATA_TYPE_STRUCT:
            inner = Ql_iotTtlvNodeGetStruct(node);
            CHECK_EQUAL(Ql_iotTtlvCountGet(inner), id == 7 ? 1 : 2);
            break;
        case QIOT_DPDATA_TYPE_RAW:
            CHECK_EQUAL(Ql_iotTtlvNodeGetRaw(node, &data), 1);
            break;
        default:
            CHECK(!"no such type");
        }
    }
    CHECK(Ql_iotTtlvNodeGet(list, 9, &id, &type) == NULL);
    CHECK_EQUAL(Ql_iotTtlvIdGetBool(list, 1, &flag), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdGetInt(list, 2, &number), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdGetFloat(list, 3, &real), TRUE);
    CHECK(strcmp(Ql_iotTtlvIdGetString(list, 4), "text") == 0);
    CHECK_EQUAL(Ql_iotTtlvIdGetByte(list, 5, &data), 3);
    CHECK_EQUAL(Ql_iotTtlvIdGetRaw(list, 6, &data), 1);
    inner = Ql_iotTtlvIdGetStruct(list, 7);
    CHECK_EQUAL(Ql_iotTtlvIdGetBool(inner, 8191, &flag), TRUE);
    CHECK_EQUAL(flag, FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdGetInt(inner, 2, &number), FALSE);
    Ql_iotTtlvFree(&list);
    CHECK(list == NULL);
    Ql_iotTtlvFree(&list);
}

static void a_list_that_was_added_belongs_to_the_other(void)
{
    void *outer = NULL, *inner = NULL, *same, *other = NULL;
    Ql_iotTtlvIdAddInt(&inner, 1, 1);
    same = inner;
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&outer, 1, inner), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&outer, 2, inner), FALSE); /* twice */
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&inner, 2, outer), FALSE); /* a circle */
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&outer, 3, outer), FALSE); /* into itself */
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&inner, 2, 2), TRUE);         /* may still grow */
    CHECK_EQUAL(Ql_iotTtlvCountGet(Ql_iotTtlvIdGetStruct(outer, 1)), 2);
    Ql_iotTtlvFree(&inner); /* only forgotten */
    CHECK(inner == NULL);
    CHECK_EQUAL(Ql_iotTtlvCountGet(same), 2);
    Ql_iotTtlvFree(&outer);
    CHECK_EQUAL(Ql_iotTtlvCountGet(same), 0);
    Ql_iotTtlvFree(&same); /* freed already: not touched */
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(&other, 1, NULL), FALSE);
    CHECK(other == NULL);
}

static void nesting_has_a_bound(void)
{
    void *list = NULL;
    int depth;
    Ql_iotTtlvIdAddInt(&list, 1, 1);
    for (depth = 0; depth < 20; depth++) {
        void *outer = NULL;
        if (!Ql_iotTtlvIdAddStruct(&outer, 1, list)) break;
        list = outer;
    }
    CHECK_EQUAL(depth, 8);
    Ql_iotTtlvFree(&list);
}

static void ids_and_arrays_do_not_mix(void)
{
    void *list = NULL;
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 8192, 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 65535, 1), FALSE);
    CHECK(list == NULL);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 8191, 1), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 0, 1), FALSE);
    Ql_iotTtlvRemove(&list, 8191);
    CHECK(list == NULL);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 0, 1), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddString(&list, 0, "two"), TRUE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 1, 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), 2);
    Ql_iotTtlvFree(&list);
    CHECK_EQUAL(Ql_iotTtlvIdAddFloat(&list, 1, 1e300), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddFloat_ex(&list, 1, 1.0, 16), FALSE);
    CHECK(list == NULL);
}

static void what_is_removed_is_gone_and_the_rest_in_order(void)
{
    void *list = a_list_of_every_type();
    quint16_t id = 0;
    Ql_iotTtlvRemove(&list, 9); /* the last */
    Ql_iotTtlvRemove(&list, 1); /* the first */
    Ql_iotTtlvRemove(&list, 7); /* a struct */
    Ql_iotTtlvRemove(&list, 77);
    CHECK_EQUAL(Ql_iotTtlvCountGet(list), 6);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(&list, 10, 1), TRUE);
    CHECK(Ql_iotTtlvNodeGet(list, 6, &id, NULL) != NULL);
    CHECK_EQUAL(id, 10);
    Ql_iotTtlvFree(&list);
}

static void nonsense_is_refused(void *handle)
{
    quint16_t id = 7;
    QIot_dpDataType_e type = 9;
    qbool flag = TRUE;
    qint64_t number = 5;
    double real = 5;
    quint8_t *data = (quint8_t *)&id;
    void *same = handle;
    CHECK_EQUAL(Ql_iotTtlvCountGet(handle), 0);
    CHECK(Ql_iotTtlvNodeGet(handle, 0, &id, &type) == NULL);
    CHECK_EQUAL(id, 7);
    CHECK_EQUAL(Ql_iotTtlvNodeGetBool(handle, &flag), FALSE);
    CHECK_EQUAL(Ql_iotTtlvNodeGetInt(handle, &number), FALSE);
    CHECK_EQUAL(Ql_iotTtlvNodeGetFloat(handle, &real), FALSE);
    CHECK(number == 5 && real == 5);
    CHECK_EQUAL(Ql_iotTtlvNodeGetByte(handle, &data), 0);
    CHECK(data == NULL);
    CHECK_EQUAL(Ql_iotTtlvNodeGetRaw(handle, NULL), 0);
    CHECK(Ql_iotTtlvNodeGetString(handle) == NULL);
    CHECK(Ql_iotTtlvNodeGetStruct(handle) == NULL);
    CHECK_EQUAL(Ql_iotTtlvNodeGetType(handle, &type), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdGetBool(handle, 1, &flag), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdGetInt(handle, 1, &number), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdGetFloat(handle, 1, &real), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdGetByte(handle, 1, NULL), 0);
    CHECK_EQUAL(Ql_iotTtlvIdGetRaw(handle, 1, NULL), 0);
    CHECK(Ql_iotTtlvIdGetString(handle, 1) == NULL);
    CHECK(Ql_iotTtlvIdGetStruct(handle, 1) == NULL);
    CHECK_EQUAL(Ql_iotTtlvIdGetType(handle, 1, NULL), FALSE);
    Ql_iotTtlvRemove(&same, 1);
    if (handle) CHECK_EQUAL(Ql_iotTtlvIdAddInt(&same, 1, 1), FALSE);
    CHECK(same == handle);
    Ql_iotTtlvFree(&same);
}

int main(void)
{
    void *list = NULL, *freed, *node;
    char text[] = "no list";
    what_was_added_is_found_by_index_and_by_id();
    a_list_that_was_added_belongs_to_the_other();
    nesting_has_a_bound();
    ids_and_arrays_do_not_mix();
    what_is_removed_is_gone_and_the_rest_in_order();

    Ql_iotTtlvIdAddInt(&list, 1, 1);
    freed = list;
    node = Ql_iotTtlvNodeGet(list, 0, NULL, NULL);
    CHECK(node != NULL);
    Ql_iotTtlvFree(&list);
    nonsense_is_refused(NULL);
    nonsense_is_refused((void *)1);
    nonsense_is_refused((void *)~(size_t)0);
    nonsense_is_refused((void *)0xDEADBEEF);
    nonsense_is_refused(text);
    nonsense_is_refused(freed);
    nonsense_is_refused(node);
    Ql_iotTtlvFree(NULL);
    Ql_iotTtlvRemove(NULL, 1);
    CHECK_EQUAL(Ql_iotTtlvIdAddBool(NULL, 1, TRUE), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddInt(NULL, 1, 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddFloat(NULL, 1, 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddString(NULL, 1, "x"), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddString(&list, 1, NULL), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddByte(NULL, 1, (const quint8_t *)"x", 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddByte(&list, 1, NULL, 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddRaw(&list, 1, NULL, 1), FALSE);
    CHECK_EQUAL(Ql_iotTtlvIdAddStruct(NULL, 1, NULL), FALSE);
    CHECK(list == NULL);
    puts("ttlv: as it should be");
    return 0;
}
