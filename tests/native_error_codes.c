/* Numbers that programs have stored and logs have shown: they stay. A new code gets the next number, and a line here. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

#define IS(name, value)                                                                                               \
    do {                                                                                                              \
        CHECK_EQUAL(name, value);                                                                                     \
        count++;                                                                                                      \
    } while (0)

int main(void)
{
    int count = 0;
    IS(QUECOTA_OK, 0);
    IS(QUECOTA_ERROR_NULL, 1);
    IS(QUECOTA_ERROR_MEMORY, 2);
    IS(QUECOTA_ERROR_ALIGN, 3);
    IS(QUECOTA_ERROR_STRUCT, 4);
    IS(QUECOTA_ERROR_PLATFORM, 5);
    IS(QUECOTA_ERROR_RECEIVE, 6);
    IS(QUECOTA_ERROR_AREA, 7);
    IS(QUECOTA_ERROR_STARTED, 8);
    IS(QUECOTA_ERROR_REENTRY, 9);
    IS(QUECOTA_ERROR_VALUE, 10);
    IS(QUECOTA_ERROR_NOT_IDLE, 11);
    IS(QUECOTA_ERROR_OFFLINE, 12);
    IS(QUECOTA_ERROR_STATE, 13);
    IS(QUECOTA_ERROR_INCOMPLETE, 14);
    IS(QUECOTA_ERROR_RANGE, 15);
    IS(QUECOTA_ERROR_STORAGE, 16);
    IS(QUECOTA_ERROR_BUSY, 17);
    IS(QUECOTA_ERROR_ROOM, 18);
    IS(QUECOTA_ERROR_UNKNOWN, 19);
    IS(QUECOTA_ERROR_PANIC, 20);
    IS(QUECOTA_ERROR_FORKED, 21);
    /* A code that is not here has no text either. */
    CHECK(strcmp(quecota_error_text(count - 1), "unknown error code") != 0);
    CHECK(strcmp(quecota_error_text(count), "unknown error code") == 0);

    count = 0;
    IS(QUECOTA_FAILURE_NONE, 0);
    IS(QUECOTA_FAILURE_NO_URL, 1);
    IS(QUECOTA_FAILURE_BAD_INFO, 2);
    IS(QUECOTA_FAILURE_NO_ROOM, 3);
    IS(QUECOTA_FAILURE_NO_ANSWER, 4);
    IS(QUECOTA_FAILURE_HTTP_STATUS, 5);
    IS(QUECOTA_FAILURE_WRONG_RANGE, 6);
    IS(QUECOTA_FAILURE_SHORT, 7);
    IS(QUECOTA_FAILURE_LONG, 8);
    IS(QUECOTA_FAILURE_STALLED, 9);
    IS(QUECOTA_FAILURE_STORAGE, 10);
    IS(QUECOTA_FAILURE_WRONG_DIGEST, 11);
    IS(QUECOTA_FAILURE_PLAN_GONE, 12);
    IS(QUECOTA_FAILURE_NOT_READ, 13);
    IS(QUECOTA_FAILURE_NO_VERSION, 14);
    IS(QUECOTA_FAILURE_OTHER_VERSION, 15);
    IS(QUECOTA_FAILURE_APPLY_REFUSED, 16);
    IS(QUECOTA_FAILURE_CANCELLED, 17);
    IS(QUECOTA_FAILURE_HELD_TOO_LONG, 18);
    IS(QUECOTA_FAILURE_RESTARTS, 19);
    IS(QUECOTA_FAILURE_NO_PACKAGES, 20);
    IS(QUECOTA_FAILURE_TOO_SLOW, 21);
    IS(QUECOTA_FAILURE_URL_TOO_LONG, 22);
    IS(QUECOTA_FAILURE_ENCODED, 23);
    IS(QUECOTA_FAILURE_DAMAGED, 24);
    CHECK(strcmp(quecota_failure_text(count - 1), quecota_failure_text(count)) != 0);
    CHECK(strcmp(quecota_failure_text(count), quecota_failure_text(count + 1)) == 0);

    CHECK_EQUAL(QUECOTA_STORAGE_OK, 0);
    CHECK_EQUAL(QUECOTA_STORAGE_RANGE, 1);
    CHECK_EQUAL(QUECOTA_STORAGE_FULL, 2);
    CHECK_EQUAL(QUECOTA_STORAGE_FAILED, 3);
    CHECK_EQUAL(QUECOTA_LINK_CONNECTED, 0);
    CHECK_EQUAL(QUECOTA_LINK_REFUSED, 1);
    CHECK_EQUAL(QUECOTA_LINK_SUBSCRIBED, 2);
    CHECK_EQUAL(QUECOTA_LINK_SUBSCRIBE_REFUSED, 3);
    CHECK_EQUAL(QUECOTA_LINK_LOST, 4);
    puts("native_error_codes: passed");
    return 0;
}
