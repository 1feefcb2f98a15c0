#include "flash.h"

#include "console.h"
#include "semihosting.h"

#include <string.h>

static int32_t file;

static int failed(const char *what, uint32_t address)
{
    console_print("flash: cannot ");
    console_print(what);
    console_print(" at ");
    console_number((int32_t)address);
    console_print("\n");
    return 0;
}

int flash_open(const char *path)
{
    uint8_t erased[FLASH_PAGE];
    uint32_t length;

    file = host_open(path, 1);
    if (file < 0) {
        console_print("flash: there is no file ");
        console_print(path);
        console_print("; begin with a copy of the first firmware\n");
        return 0;
    }
    memset(erased, FLASH_ERASED, sizeof erased);
    for (length = host_length(file); length < FLASH_SIZE; length = host_length(file)) {
        uint32_t part = FLASH_SIZE - length < sizeof erased ? FLASH_SIZE - length : sizeof erased;
        if (!host_write(file, length, erased, part)) return failed("grow", length);
    }
    return 1;
}

int flash_read(uint32_t address, void *data, uint32_t length)
{
    return host_read(file, address, data, length) || failed("read", address);
}

/* The chip takes a page at a time, so a power cut leaves a part of what is longer. */
int flash_program(uint32_t address, const void *data, uint32_t length)
{
    const uint8_t *from = data;
    uint8_t there[FLASH_PAGE];
    uint32_t part, i;

    if (address % FLASH_PROGRAM != 0 || length % FLASH_PROGRAM != 0) return failed("program a part", address);
    for (; length > 0; address += part, from += part, length -= part) {
        part = FLASH_PAGE - address % FLASH_PAGE;
        if (part > length) part = length;
        if (!host_read(file, address, there, part)) return failed("read", address);
        for (i = 0; i < part; i++)
            if (there[i] != FLASH_ERASED) return failed("program what is not erased", address + i);
        if (!host_write(file, address, from, part)) return failed("program", address);
    }
    return 1;
}

int flash_erase(uint32_t address)
{
    uint8_t erased[FLASH_PAGE];
    uint32_t end = address + FLASH_BLOCK;

    if (address % FLASH_BLOCK != 0) return failed("erase a part", address);
    memset(erased, FLASH_ERASED, sizeof erased);
    for (; address < end; address += FLASH_PAGE)
        if (!host_write(file, address, erased, FLASH_PAGE)) return failed("erase", address);
    return 1;
}

int flash_is_erased(uint32_t address, uint32_t length)
{
    uint8_t page[FLASH_PAGE];
    uint32_t i;

    for (; length > 0; address += sizeof page, length -= sizeof page) {
        if (!flash_read(address, page, sizeof page)) return 0;
        for (i = 0; i < sizeof page; i++)
            if (page[i] != FLASH_ERASED) return 0;
    }
    return 1;
}

int flash_crc(uint32_t address, uint32_t length, uint32_t *crc)
{
    uint8_t page[FLASH_PAGE];
    uint32_t part, i, state = 0xFFFFFFFFu;
    int bit;

    for (; length > 0; address += part, length -= part) {
        part = length < sizeof page ? length : sizeof page;
        if (!flash_read(address, page, part)) return 0;
        for (i = 0; i < part; i++) {
            state ^= page[i];
            for (bit = 0; bit < 8; bit++) state = state >> 1 ^ (state & 1 ? 0xEDB88320u : 0);
        }
    }
    *crc = ~state;
    return 1;
}

int flash_boot_record(boot_record_t *record)
{
    return flash_read(BOOT, record, sizeof *record) && record->magic == BOOT_MAGIC && record->length <= SLOT_SIZE &&
           record->check == (record->magic ^ record->length ^ record->crc);
}

/* --------------------------------------------------------------------------------------------------- for the platform table */

static uint32_t base(quecota_area_id_t area)
{
    return area == QUECOTA_AREA_IMAGE ? IMAGE : JOURNAL;
}

static quecota_storage_result_t area_read(void *ctx, quecota_area_id_t area, uint32_t offset, uint8_t *data, uint32_t length)
{
    (void)ctx;
    return flash_read(base(area) + offset, data, length) ? QUECOTA_STORAGE_OK : QUECOTA_STORAGE_FAILED;
}

static quecota_storage_result_t area_write(void *ctx, quecota_area_id_t area, uint32_t offset, const uint8_t *data, uint32_t length)
{
    (void)ctx;
    return flash_program(base(area) + offset, data, length) ? QUECOTA_STORAGE_OK : QUECOTA_STORAGE_FAILED;
}

static quecota_storage_result_t area_erase(void *ctx, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    (void)ctx;
    for (; length > 0; offset += FLASH_BLOCK, length -= FLASH_BLOCK)
        if (!flash_erase(base(area) + offset)) return QUECOTA_STORAGE_FAILED;
    return QUECOTA_STORAGE_OK;
}

/* sync is NULL: flash_program() returns when it is written. */
const quecota_storage_t flash_storage = {
    .size = sizeof flash_storage,
    .image = { .size = SLOT_SIZE, .erase = FLASH_BLOCK, .program = FLASH_PROGRAM, .erased = FLASH_ERASED },
    .journal = { .size = JOURNAL_SIZE, .erase = FLASH_BLOCK, .program = FLASH_PROGRAM, .erased = FLASH_ERASED },
    .read = area_read,
    .write = area_write,
    .erase = area_erase,
};
