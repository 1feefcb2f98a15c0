/* A module has flash here. What stays is the shape of it: erase, then write once, then sync. */
#define _POSIX_C_SOURCE 200809L

#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERASE_SIZE   4096
#define PROGRAM_SIZE 1
#define ERASED       0xFF
#define JOURNAL_SIZE (4 * ERASE_SIZE)

static const quecota_area_t *area_of(const storage_t *storage, quecota_area_id_t area)
{
    return area == QUECOTA_AREA_IMAGE ? &storage->table.image : &storage->table.journal;
}

static int is_inside(const quecota_area_t *area, uint32_t offset, uint32_t length, uint32_t unit)
{
    return offset <= area->size && length <= area->size - offset && offset % unit == 0 && length % unit == 0;
}

static quecota_storage_result_t written(int file, uint32_t offset, const uint8_t *data, uint32_t length)
{
    while (length > 0) {
        ssize_t count = pwrite(file, data, length, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return count < 0 && errno == ENOSPC ? QUECOTA_STORAGE_FULL : QUECOTA_STORAGE_FAILED;
        data += count;
        offset += (uint32_t)count;
        length -= (uint32_t)count;
    }
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t read_area(void *ctx, quecota_area_id_t area, uint32_t offset, uint8_t *data, uint32_t length)
{
    storage_t *storage = ctx;
    if (!is_inside(area_of(storage, area), offset, length, 1)) return QUECOTA_STORAGE_RANGE;
    while (length > 0) {
        ssize_t count = pread(storage->files[area], data, length, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return QUECOTA_STORAGE_FAILED;
        data += count;
        offset += (uint32_t)count;
        length -= (uint32_t)count;
    }
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t write_area(void *ctx, quecota_area_id_t area, uint32_t offset, const uint8_t *data, uint32_t length)
{
    storage_t *storage = ctx;
    if (!is_inside(area_of(storage, area), offset, length, PROGRAM_SIZE)) return QUECOTA_STORAGE_RANGE;
    return written(storage->files[area], offset, data, length);
}

static quecota_storage_result_t erase_area(void *ctx, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    storage_t *storage = ctx;
    uint8_t block[ERASE_SIZE];
    if (!is_inside(area_of(storage, area), offset, length, ERASE_SIZE)) return QUECOTA_STORAGE_RANGE;
    memset(block, ERASED, sizeof block);
    for (; length > 0; offset += ERASE_SIZE, length -= ERASE_SIZE) {
        quecota_storage_result_t result = written(storage->files[area], offset, block, sizeof block);
        if (result != QUECOTA_STORAGE_OK) return result;
    }
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t sync_area(void *ctx, quecota_area_id_t area)
{
    storage_t *storage = ctx;
    return fdatasync(storage->files[area]) == 0 ? QUECOTA_STORAGE_OK : QUECOTA_STORAGE_FAILED;
}

/* A new file is erased flash; an area that has another size than before begins anew. */
static int open_area(storage_t *storage, quecota_area_id_t area, const char *folder, const char *name)
{
    char path[1024];
    struct stat state;
    uint32_t size = area_of(storage, area)->size;
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = length > 0 && (size_t)length < sizeof path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    storage->files[area] = file;
    if (file < 0 || fstat(file, &state) != 0 ||
        (state.st_size != (off_t)size && erase_area(storage, area, 0, size) != QUECOTA_STORAGE_OK) || ftruncate(file, (off_t)size) != 0) {
        fprintf(stderr, "cannot use %s/%s as storage of %lu bytes: %s\n", folder, name, (unsigned long)size, strerror(errno));
        return 0;
    }
    return 1;
}

int storage_open(storage_t *storage, const char *folder, uint32_t image_size)
{
    quecota_area_t image = { image_size, ERASE_SIZE, PROGRAM_SIZE, ERASED };
    quecota_area_t journal = { JOURNAL_SIZE, ERASE_SIZE, PROGRAM_SIZE, ERASED };

    memset(storage, 0, sizeof *storage);
    storage->table.size = sizeof storage->table;
    storage->table.ctx = storage;
    storage->table.image = image;
    storage->table.journal = journal;
    storage->table.read = read_area;
    storage->table.write = write_area;
    storage->table.erase = erase_area;
    storage->table.sync = sync_area;
    (void)mkdir(folder, 0700); /* it may be there */
    return open_area(storage, QUECOTA_AREA_IMAGE, folder, "image") && open_area(storage, QUECOTA_AREA_JOURNAL, folder, "journal");
}

void storage_close(storage_t *storage)
{
    (void)close(storage->files[QUECOTA_AREA_IMAGE]);
    (void)close(storage->files[QUECOTA_AREA_JOURNAL]);
}
