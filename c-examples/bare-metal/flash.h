/* NOR flash, kept in a file of the host, so that it outlives the board:
 *
 *     slot     the firmware that runs; the loader copies it to where it was linked to
 *     image    where the library stages a new one
 *     boot     one block: what the loader is to do, by apply()
 *     journal  the library's
 *
 * The address of a byte is its offset in the file. A file that is shorter than the flash is erased behind its end. So a factory
 * writes the first firmware, and no more. */
#ifndef FLASH_H
#define FLASH_H

#include "quecota.h"

#define FLASH_BLOCK   4096u /* smallest erase */
#define FLASH_PAGE    256u  /* largest write of the chip */
#define FLASH_PROGRAM 8u    /* smallest write */
#define FLASH_ERASED  0xFFu

#define SLOT_SIZE    (48 * FLASH_BLOCK)
#define JOURNAL_SIZE (4 * FLASH_BLOCK)
#define SLOT         0u
#define IMAGE        (SLOT + SLOT_SIZE)
#define BOOT         (IMAGE + SLOT_SIZE)
#define JOURNAL      (BOOT + FLASH_BLOCK)
#define FLASH_SIZE   (JOURNAL + JOURNAL_SIZE)

/* In the block `boot`: the staged image is to become the firmware. */
typedef struct {
    uint32_t magic;
    uint32_t length;
    uint32_t crc; /* of the image: flash_crc() */
    uint32_t check; /* magic ^ length ^ crc: the record was written whole */
} boot_record_t;

#define BOOT_MAGIC 0x51424F54u

/* Opens the file. 0: it cannot be used. As in all functions here, what is wrong is printed. */
int flash_open(const char *path);

int flash_read(uint32_t address, void *data, uint32_t length);

/* Writes erased bytes; address and length are multiples of FLASH_PROGRAM. */
int flash_program(uint32_t address, const void *data, uint32_t length);

/* Erases one block. */
int flash_erase(uint32_t address);

/* Whole pages of FLASH_PAGE. */
int flash_is_erased(uint32_t address, uint32_t length);

/* CRC-32/ISO-HDLC of bytes in the flash. 0: they cannot be read. */
int flash_crc(uint32_t address, uint32_t length, uint32_t *crc);

/* Whether a record is there and whole. */
int flash_boot_record(boot_record_t *record);

/* Image and journal, for the platform table. */
extern const quecota_storage_t flash_storage;

#endif
