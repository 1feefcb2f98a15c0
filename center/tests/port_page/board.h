/* The board of docs/port.md, for its test: what a vendor's SDK would give, played by memory, files and the port of c-examples. */
#include "quecota.h"

#include <stdlib.h>

#define BOARD_IS_NEW 1
#define BOARD_SERVER getenv("SERVER")

int flash_read(uint32_t address, uint8_t *data, uint32_t length);
int flash_program(uint32_t address, const uint8_t *data, uint32_t length);
int flash_erase_block(uint32_t address);
uint32_t board_ticks_ms(void);
void board_random(uint8_t *data, uint32_t length);
const char *board_imei(void);
void board_print(const char *format, ...);

int mcu_flash(uint32_t offset, const uint8_t *data, uint32_t length);
int mcu_sync(void);
int mcu_restart(const char *version);
const char *mcu_version(void);

const quecota_transport_t *network_table(void);
int32_t wake_network_task(quecota_http_t *http);
void network_step(quecota_t *device, uint32_t milliseconds);

void ota_task(void);
