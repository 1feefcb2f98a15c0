/* The storage of a port: two files that behave as flash. */
#ifndef PORT_STORAGE_H
#define PORT_STORAGE_H

#include "quecota.h"

typedef struct {
    quecota_storage_t table; /* for the platform table */
    int files[2];            /* by QUECOTA_AREA_* */
} storage_t;

/* Makes or opens `folder`/image and `folder`/journal; `image_size` in bytes, a multiple of 4096. 0: failed, and said so. */
int storage_open(storage_t *storage, const char *folder, uint32_t image_size);

void storage_close(storage_t *storage);

#endif
