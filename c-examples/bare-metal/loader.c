/* The boot loader: what runs after each reset. It makes the staged image the firmware, if apply() has asked for that, and starts
 * the firmware. A power cut at any moment costs nothing: the staged image stays until the firmware that runs has said its
 * version to the center, and the record that asks for it until it is copied.
 *
 * It trusts what the library has verified, and keeps no copy to go back to. A product would take MCUboot here. */
#include "board.h"
#include "console.h"
#include "flash.h"
#include "settings.h"

#include <string.h>

static int copy_image(const boot_record_t *record)
{
    uint8_t page[FLASH_PAGE];
    uint32_t offset, crc;

    if (!flash_crc(IMAGE, record->length, &crc)) return 0;
    if (crc != record->crc) {
        console_print("loader: the staged image is damaged; the firmware stays\n");
        return flash_erase(BOOT);
    }
    for (offset = 0; offset < record->length; offset += sizeof page) {
        if (offset % FLASH_BLOCK == 0 && !flash_erase(SLOT + offset)) return 0;
        if (!flash_read(IMAGE + offset, page, sizeof page) || !flash_program(SLOT + offset, page, sizeof page)) return 0;
    }
    if (!flash_crc(SLOT, record->length, &crc) || crc != record->crc) return 0;
    console_print("loader: new firmware\n");
    return flash_erase(BOOT);
}

int main(void)
{
    settings_t settings;
    boot_record_t record;
    uint32_t *vectors = (uint32_t *)SLOT_ADDRESS;

    if (!settings_read(&settings) || !flash_open(settings.flash)) return 1;
    if (flash_boot_record(&record) && !copy_image(&record)) return 1;
    /* A flash that the processor can address needs no copy. */
    if (!flash_read(SLOT, vectors, SLOT_SIZE)) return 1;
    if (vectors[0] == 0xFFFFFFFFu) {
        console_print("loader: there is no firmware\n");
        return 1;
    }
    *(volatile uint32_t *)0xE000ED08u = SLOT_ADDRESS; /* VTOR */
    __asm__ volatile("dsb\n"
                     "isb\n"
                     "msr control, %2\n" /* back to the main stack */
                     "isb\n"
                     "msr msp, %0\n"
                     "bx %1\n"
                     :
                     : "r"(vectors[0]), "r"(vectors[1]), "r"(0)
                     : "memory");
    __builtin_unreachable();
}
