/* What differs from board to board. Here it is the command line of the simulation:
 *
 *     FLASH SERVER PRODUCT-KEY PRODUCT-SECRET DEVICE-KEY
 *
 * A product has it in a block of its flash. */
#ifndef SETTINGS_H
#define SETTINGS_H

typedef struct {
    char line[400];
    const char *flash, *server, *product_key, *product_secret, *device_key;
} settings_t;

/* 0: it is not complete, and that is printed. */
int settings_read(settings_t *settings);

#endif
