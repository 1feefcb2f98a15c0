/* The MCU behind the module, played by files. A product has a UART and a boot loader here.
 *
 * It has two slots, as MCUs with a boot loader have: FLASH, which it runs, and FLASH.new, which is written. FLASH.version says
 * what it runs. FLASH.version.new is the mark that the new slot is verified and is to run; whoever finds it ends the change of
 * slots, also after a power cut in the middle of it.
 *
 * Where int is returned: 0 means that it failed, and a line on stderr says why. */
#ifndef MCU_H
#define MCU_H

#include <stdint.h>

#define MCU_VERSION_SIZE 65 /* with its NUL */
#define MCU_PATH_SIZE    1024

typedef struct {
    char slot_running[MCU_PATH_SIZE], slot_new[MCU_PATH_SIZE], version_running[MCU_PATH_SIZE], version_new[MCU_PATH_SIZE];
    char first_version[MCU_VERSION_SIZE];
} mcu_t;

/* `flash` is the path of its flash, `first_version` what a brand-new one runs. */
int mcu_open(mcu_t *mcu, const char *flash, const char *first_version);

/* What its boot loader does: changes slots if that is marked, then says what runs. */
int mcu_power_on(const mcu_t *mcu, char version[MCU_VERSION_SIZE]);

/* An image begins: what an earlier one marked no longer counts. */
void mcu_begin(const mcu_t *mcu);

/* Writes to the slot that does not run, which holds `size` bytes then. What an earlier attempt left is overwritten. */
int mcu_write(const mcu_t *mcu, uint32_t size, uint32_t offset, const uint8_t *data, uint32_t length);

/* Once it returns, a power cut takes nothing of what was written. */
int mcu_sync(const mcu_t *mcu);

/* Reads the new slot back, and marks it if it has this MD5 (lower-case hex): this finds errors of the UART and of the flash. */
int mcu_accept(const mcu_t *mcu, uint32_t size, const char *md5, const char *version);

#endif
