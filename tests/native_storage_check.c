/* quecota_check_storage() on a flash that is right, and on one for each way in which a driver is wrong. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

enum { ERASE = 256, IMAGE = 8 * ERASE, JOURNAL = 8192, PROGRAM = 8 };

/* What is wrong with the driver. */
typedef enum {
    NOTHING,
    ERASES_TO_ZERO,
    ERASES_ONE_BLOCK_ONLY,
    ERASES_THE_NEXT_BLOCK_TOO,
    ERASE_FAILS,
    WRITES_FOUR_BYTES_MORE,
    WRITES_NOTHING,
    WRITES_TWICE_AS_WIDE,
    WRITE_FAILS,
    READS_ALIGNED_ONLY,
    READS_NOTHING,
    READ_FAILS,
    SYNC_FAILS,
    SIZE_WRAPS,
    AREAS_ARE_ONE,
    SECOND_ERASE_DOES_NOTHING,
    KINDS
} wrong_t;

static struct {
    wrong_t wrong;
    uint8_t image[IMAGE], journal[JOURNAL];
    unsigned erases, faults;
} flash;

static uint8_t *at(quecota_area_id_t area, uint32_t offset)
{
    if (flash.wrong == AREAS_ARE_ONE) return flash.journal + offset;
    if (flash.wrong == SIZE_WRAPS && area == QUECOTA_AREA_IMAGE) offset %= IMAGE / 2;
    return area == QUECOTA_AREA_IMAGE ? flash.image + offset : flash.journal + offset;
}

static uint32_t size_of(quecota_area_id_t area)
{
    return area == QUECOTA_AREA_IMAGE ? IMAGE : JOURNAL;
}

/* A driver may rely on what the table promises it; `faults` counts the calls that break that. */
static void promised(quecota_area_id_t area, uint32_t offset, uint32_t length, uint32_t unit)
{
    if (offset % unit || length % unit || offset > size_of(area) || length > size_of(area) - offset || length == 0) flash.faults++;
}

static quecota_storage_result_t read_flash(void *ctx, quecota_area_id_t area, uint32_t offset, uint8_t *data, uint32_t length)
{
    (void)ctx;
    promised(area, offset, length, 1);
    if (flash.wrong == READ_FAILS) return QUECOTA_STORAGE_FAILED;
    if (flash.wrong == READS_NOTHING) return QUECOTA_STORAGE_OK;
    if (flash.wrong == READS_ALIGNED_ONLY) offset &= ~3u;
    for (uint32_t i = 0; i < length; i++) data[i] = *at(area, offset + i);
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t write_flash(void *ctx, quecota_area_id_t area, uint32_t offset, const uint8_t *data, uint32_t length)
{
    (void)ctx;
    promised(area, offset, length, PROGRAM);
    if (flash.wrong == WRITE_FAILS) return QUECOTA_STORAGE_FULL;
    if (flash.wrong == WRITES_NOTHING) return QUECOTA_STORAGE_OK;
    /* Flash: a bit goes from 1 to 0. */
    for (uint32_t i = 0; i < length; i++) *at(area, offset + i) &= data[i];
    if (flash.wrong == WRITES_FOUR_BYTES_MORE && offset + length + 4 <= size_of(area)) memset(at(area, offset + length), 0, 4);
    if (flash.wrong == WRITES_TWICE_AS_WIDE && length == PROGRAM && offset % (2 * PROGRAM)) memset(at(area, offset - PROGRAM), 0, PROGRAM);
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t erase_flash(void *ctx, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    (void)ctx;
    promised(area, offset, length, ERASE);
    flash.erases++;
    if (flash.wrong == ERASE_FAILS) return QUECOTA_STORAGE_FAILED;
    if (flash.wrong == SECOND_ERASE_DOES_NOTHING && flash.erases > 1) return QUECOTA_STORAGE_OK;
    if (flash.wrong == ERASES_ONE_BLOCK_ONLY) length = ERASE;
    if (flash.wrong == ERASES_THE_NEXT_BLOCK_TOO && offset + length < size_of(area)) length += ERASE;
    for (uint32_t i = 0; i < length; i++) *at(area, offset + i) = flash.wrong == ERASES_TO_ZERO ? 0 : 0xFF;
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t sync_flash(void *ctx, quecota_area_id_t area)
{
    (void)ctx, (void)area;
    return flash.wrong == SYNC_FAILS ? QUECOTA_STORAGE_FAILED : QUECOTA_STORAGE_OK;
}

static quecota_storage_t table = {
    sizeof table, NULL, { IMAGE, ERASE, PROGRAM, 0xFF }, { JOURNAL, ERASE, PROGRAM, 0xFF }, read_flash, write_flash, erase_flash, sync_flash,
};

static quecota_storage_fault_t fault;

static quecota_error_t check(wrong_t wrong)
{
    memset(&flash, 0, sizeof flash); /* an old image is there */
    memset(&fault, 'x', sizeof fault);
    fault.size = sizeof fault;
    flash.wrong = wrong;
    return quecota_check_storage(&table, &fault);
}

static void finds(wrong_t wrong, const char *function, quecota_area_id_t area)
{
    CHECK_EQUAL(check(wrong), QUECOTA_ERROR_STORAGE);
    CHECK(fault.rule != NULL);
    if (strncmp(fault.rule, function, strlen(function)) != 0) {
        fprintf(stderr, "driver %d: the rule is \"%s\"\n", wrong, fault.rule);
        CHECK(!"begins as expected");
    }
    CHECK_EQUAL(fault.area, area);
    CHECK(fault.expected != fault.found);
    CHECK_EQUAL(flash.faults, 0);
}

static void wrong_sizes(void)
{
    quecota_storage_t right = table;
    table.image.program = 3;
    CHECK_EQUAL(check(NOTHING), QUECOTA_ERROR_AREA);
    CHECK_EQUAL(fault.area, QUECOTA_AREA_IMAGE);
    table = right;
    table.journal.size = 4096; /* a valid area, but no journal */
    CHECK_EQUAL(check(NOTHING), QUECOTA_ERROR_AREA);
    CHECK_EQUAL(fault.area, QUECOTA_AREA_JOURNAL);
    CHECK_EQUAL(fault.found, 4096);
    CHECK(fault.expected > 4096 && fault.expected <= 8192); /* docs/journal.md */
    table = right;
    table.erase = NULL;
    CHECK_EQUAL(check(NOTHING), QUECOTA_ERROR_PLATFORM);
    table = right;
    table.size = 4;
    CHECK_EQUAL(check(NOTHING), QUECOTA_ERROR_STRUCT);
    table = right;
    CHECK_EQUAL(flash.erases, 0);
    CHECK_EQUAL(quecota_check_storage(NULL, &fault), QUECOTA_ERROR_NULL);
    fault.size = 4;
    CHECK_EQUAL(quecota_check_storage(&table, &fault), QUECOTA_ERROR_STRUCT);
}

int main(void)
{
    CHECK_EQUAL(check(NOTHING), QUECOTA_OK);
    CHECK(fault.rule == NULL);
    CHECK_EQUAL(flash.faults, 0);
    for (uint32_t i = 0; i < IMAGE; i++) CHECK_EQUAL(flash.image[i], 0xFF); /* erased at the end */
    for (uint32_t i = 0; i < JOURNAL; i++) CHECK_EQUAL(flash.journal[i], 0xFF);
    table.sync = NULL;
    CHECK_EQUAL(check(NOTHING), QUECOTA_OK);
    table.sync = sync_flash;
    CHECK_EQUAL(quecota_check_storage(&table, NULL), QUECOTA_OK);

    finds(ERASES_TO_ZERO, "erase must leave every byte as `erased`", QUECOTA_AREA_JOURNAL);
    finds(ERASES_ONE_BLOCK_ONLY, "erase must leave every byte as `erased`", QUECOTA_AREA_JOURNAL);
    finds(ERASES_THE_NEXT_BLOCK_TOO, "erase must leave the blocks beside", QUECOTA_AREA_JOURNAL);
    finds(ERASE_FAILS, "erase must succeed", QUECOTA_AREA_JOURNAL);
    finds(WRITES_FOUR_BYTES_MORE, "write must leave the bytes beside", QUECOTA_AREA_JOURNAL);
    finds(WRITES_NOTHING, "write must store", QUECOTA_AREA_JOURNAL);
    finds(WRITES_TWICE_AS_WIDE, "write must leave the bytes beside", QUECOTA_AREA_JOURNAL);
    finds(WRITE_FAILS, "write must succeed", QUECOTA_AREA_JOURNAL);
    finds(READS_ALIGNED_ONLY, "read must give the bytes", QUECOTA_AREA_JOURNAL);
    finds(READS_NOTHING, "erase must leave", QUECOTA_AREA_JOURNAL);
    finds(READ_FAILS, "read must succeed", QUECOTA_AREA_JOURNAL);
    finds(SYNC_FAILS, "sync must succeed", QUECOTA_AREA_JOURNAL);
    finds(SIZE_WRAPS, "each byte of the area", QUECOTA_AREA_IMAGE);
    finds(AREAS_ARE_ONE, "the areas image and journal", QUECOTA_AREA_JOURNAL);
    finds(SECOND_ERASE_DOES_NOTHING, "erase must leave every byte", QUECOTA_AREA_JOURNAL);
    wrong_sizes();
    puts("native_storage_check: passed");
    return 0;
}
