#include "board.h"

#include "port/system.h"
#include "port/transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SIZE = 0x120000, BLOCK = 4096, PROGRAM = 8 };

static uint8_t flash[SIZE];
static quecota_system_t host;
static transport_t *transport;

int flash_read(uint32_t address, uint8_t *data, uint32_t length)
{
    if (address > SIZE || length > SIZE - address) return 0;
    memcpy(data, flash + address, length);
    return 1;
}

/* A bit goes from 1 to 0, and never back. */
int flash_program(uint32_t address, const uint8_t *data, uint32_t length)
{
    if (address > SIZE || length > SIZE - address || address % PROGRAM || length % PROGRAM) return 0;
    for (uint32_t i = 0; i < length; i++) flash[address + i] &= data[i];
    return 1;
}

int flash_erase_block(uint32_t address)
{
    if (address >= SIZE || address % BLOCK) return 0;
    memset(flash + address, 0xFF, BLOCK);
    return 1;
}

uint32_t board_ticks_ms(void)
{
    return host.millis(host.ctx);
}

void board_random(uint8_t *data, uint32_t length)
{
    host.random(host.ctx, data, length);
}

const char *board_imei(void)
{
    return getenv("IMEI");
}

void board_print(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
}

int mcu_flash(uint32_t offset, const uint8_t *data, uint32_t length)
{
    static FILE *file;
    if (!file) file = fopen("mcu.bin", "wb");
    return file && fseek(file, (long)offset, SEEK_SET) == 0 && fwrite(data, 1, length, file) == length && fflush(file) == 0;
}

int mcu_sync(void)
{
    return 1;
}

int mcu_restart(const char *version)
{
    board_print("mcu restarted with %s", version);
    return 1;
}

const char *mcu_version(void)
{
    return "1_0_0";
}

const quecota_transport_t *network_table(void)
{
    return transport_table(transport);
}

/* This board has an HTTP client. */
int32_t wake_network_task(quecota_http_t *http)
{
    (void)http;
    return -1;
}

void network_step(quecota_t *device, uint32_t milliseconds)
{
    transport_step(transport, device, milliseconds);
}

int main(void)
{
    system_open(&host, board_imei());
    transport = transport_open(NULL);
    ota_task();
    return 1; /* it does not end by itself, but where the storage is wrong */
}
