#define _POSIX_C_SOURCE 200809L

#include "mcu.h"

#include "console.h"
#include "md5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int mcu_open(mcu_t *mcu, const char *flash, const char *first_version)
{
    if (strlen(flash) > MCU_PATH_SIZE - 20 || strlen(first_version) >= MCU_VERSION_SIZE) {
        console_error("the path of the flash is longer than %d bytes, or version %s than %d", MCU_PATH_SIZE - 20, first_version,
                      MCU_VERSION_SIZE - 1);
        return 0;
    }
    (void)snprintf(mcu->slot_running, MCU_PATH_SIZE, "%s", flash);
    (void)snprintf(mcu->slot_new, MCU_PATH_SIZE, "%s.new", flash);
    (void)snprintf(mcu->version_running, MCU_PATH_SIZE, "%s.version", flash);
    (void)snprintf(mcu->version_new, MCU_PATH_SIZE, "%s.version.new", flash);
    (void)snprintf(mcu->first_version, MCU_VERSION_SIZE, "%s", first_version);
    return 1;
}

/* Makes a renamed or created file outlive a power cut. Losing that costs an upgrade, never a wrong one. */
static void sync_folder_of(const char *path)
{
    char folder[MCU_PATH_SIZE];
    char *slash;
    int file;

    (void)snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    else
        strcpy(folder, ".");
    file = open(folder, O_RDONLY);
    if (file < 0) return;
    (void)fsync(file);
    (void)close(file);
}

static int store_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    int is_good = file && fprintf(file, "%s\n", text) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;

    if ((file && fclose(file) != 0) || !is_good) {
        console_error("cannot write %s: %s", path, strerror(errno));
        return 0;
    }
    return 1;
}

static int rename_file(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        console_error("cannot rename %s to %s: %s", from, to, strerror(errno));
        return 0;
    }
    sync_folder_of(to);
    return 1;
}

static int exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int mcu_power_on(const mcu_t *mcu, char version[MCU_VERSION_SIZE])
{
    FILE *file;
    int is_read;

    if (exists(mcu->version_new)) {
        /* Without the image it has changed places already, and only its version has not. */
        if ((exists(mcu->slot_new) && !rename_file(mcu->slot_new, mcu->slot_running)) ||
            !rename_file(mcu->version_new, mcu->version_running))
            return 0;
    }
    if (!exists(mcu->version_running) && !store_text(mcu->version_running, mcu->first_version)) return 0;
    file = fopen(mcu->version_running, "r");
    is_read = file && fgets(version, MCU_VERSION_SIZE, file);
    if (file) (void)fclose(file);
    if (!is_read) {
        console_error("cannot read %s", mcu->version_running);
        return 0;
    }
    version[strcspn(version, "\r\n")] = '\0';
    return 1;
}

void mcu_begin(const mcu_t *mcu)
{
    (void)unlink(mcu->version_new);
}

static int failed(const mcu_t *mcu, const char *what, int file)
{
    console_error("cannot %s %s: %s", what, mcu->slot_new, strerror(errno));
    if (file >= 0) (void)close(file);
    return 0;
}

int mcu_write(const mcu_t *mcu, uint32_t size, uint32_t offset, const uint8_t *data, uint32_t length)
{
    int file = open(mcu->slot_new, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    /* An earlier, longer image leaves no tail. */
    if (file < 0 || ftruncate(file, (off_t)size) != 0) return failed(mcu, "open", file);
    while (length > 0) {
        ssize_t count = pwrite(file, data, length, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return failed(mcu, "write", file);
        data += count;
        offset += (uint32_t)count;
        length -= (uint32_t)count;
    }
    return close(file) == 0 || failed(mcu, "write", -1);
}

int mcu_sync(const mcu_t *mcu)
{
    int file = open(mcu->slot_new, O_RDWR | O_CLOEXEC);

    if (file < 0 || fsync(file) != 0) return failed(mcu, "write", file);
    (void)close(file);
    return 1;
}

static int digest(const mcu_t *mcu, uint32_t size, char text[MD5_TEXT])
{
    uint8_t buffer[1024];
    struct md5 md5;
    int file = open(mcu->slot_new, O_RDONLY | O_CLOEXEC);

    if (file < 0) return failed(mcu, "read", file);
    md5_begin(&md5);
    while (size > 0) {
        ssize_t count = read(file, buffer, size < sizeof buffer ? size : sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return failed(mcu, "read", file);
        md5_add(&md5, buffer, (size_t)count);
        size -= (uint32_t)count;
    }
    (void)close(file);
    md5_end(&md5, text);
    return 1;
}

int mcu_accept(const mcu_t *mcu, uint32_t size, const char *md5, const char *version)
{
    char found[MD5_TEXT], draft[MCU_PATH_SIZE + 8];

    if (!digest(mcu, size, found)) return 0;
    if (strcmp(found, md5) != 0) {
        console_error("the MCU's image has MD5 %s, announced was %s: not activated", found, md5);
        return 0;
    }
    console_step("verified md5=%s", found);
    /* The mark appears whole or not at all. */
    (void)snprintf(draft, sizeof draft, "%s.draft", mcu->version_new);
    return store_text(draft, version) && rename_file(draft, mcu->version_new);
}
