#define _DEFAULT_SOURCE

#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint32_t millis(void *ctx)
{
    struct timespec now;
    (void)ctx;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((unsigned long long)now.tv_sec * 1000u + (unsigned long long)now.tv_nsec / 1000000u);
}

static void random_bytes(void *ctx, uint8_t *data, uint32_t length)
{
    (void)ctx;
    while (length > 0) {
        ssize_t count = getrandom(data, length, 0);
        if (count <= 0) continue; /* a signal came */
        data += count;
        length -= (uint32_t)count;
    }
}

static const char *device_key(void *ctx)
{
    return ctx;
}

static void log_line(void *ctx, quecota_level_t level, const char *line, uint32_t length)
{
    (void)ctx, (void)length;
    if (level <= QUECOTA_LEVEL_WARN) fprintf(stderr, "quecota: %s\n", line);
}

void system_open(quecota_system_t *table, const char *key)
{
    memset(table, 0, sizeof *table);
    table->size = sizeof *table;
    table->ctx = (void *)(size_t)key; /* device_key() only reads it */
    table->millis = millis;
    table->random = random_bytes;
    table->device_key = device_key;
    table->log = log_line;
    /* No lock and no wake(): one task does everything. */
}
