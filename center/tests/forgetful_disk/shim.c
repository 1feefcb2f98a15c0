/* A disk that forgets: LD_PRELOAD for a process that is going to be killed. Beside each SQLite file NAME (.db, .db-wal) stands
 * NAME.disk, which has what was synced and nothing else: the file as it is after a power cut, at the worst. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 8, DESCRIPTORS = 4096, NAME = 512 };

/* What was written to a file since its last sync. */
struct file {
    char name[NAME];
    off_t from, to;
};

static struct file files[FILES];
static signed char file_of[DESCRIPTORS]; /* 0: none, else the file's place and one */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_ours(const char *name)
{
    size_t length = strlen(name);
    return length < NAME - 6 && ((length > 3 && !strcmp(name + length - 3, ".db")) ||
                                 (length > 7 && !strcmp(name + length - 7, ".db-wal")));
}

static void disk_name(char *out, const char *name)
{
    snprintf(out, NAME + 8, "%s.disk", name);
}

static struct file *of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && file_of[fd] ? &files[file_of[fd] - 1] : NULL;
}

static void copy(int in, int out, off_t from, off_t to)
{
    static char bytes[1 << 16];
    while (from < to) {
        off_t left = to - from;
        ssize_t count = pread(in, bytes, left < (off_t)sizeof bytes ? (size_t)left : sizeof bytes, from);
        if (count <= 0)
            return;
        if (REAL(pwrite)(out, bytes, (size_t)count, from) != count)
            abort();
        from += count;
    }
}

static void opened(int fd, const char *name)
{
    if (fd < 0 || fd >= DESCRIPTORS || !is_ours(name))
        return;
    pthread_mutex_lock(&lock);
    int place = 0;
    while (place < FILES - 1 && files[place].name[0] && strcmp(files[place].name, name))
        place++;
    int is_new = !files[place].name[0];
    strcpy(files[place].name, name);
    file_of[fd] = (signed char)(place + 1);
    if (is_new) {
        /* What is there at the start is on the disk; so is a name that is made now. */
        char disk[NAME + 8];
        disk_name(disk, name);
        int out = REAL(open)(disk, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        copy(fd, out, 0, INT64_MAX);
        REAL(close)(out);
    }
    pthread_mutex_unlock(&lock);
}

static void written(int fd, off_t from, off_t to)
{
    pthread_mutex_lock(&lock);
    struct file *file = of(fd);
    if (file) {
        if (file->to == 0 || from < file->from)
            file->from = from;
        if (to > file->to)
            file->to = to;
    }
    pthread_mutex_unlock(&lock);
}

/* Brings what was written to the disk. */
static void synced(int fd)
{
    pthread_mutex_lock(&lock);
    struct file *file = of(fd);
    struct stat about;
    char disk[NAME + 8];
    if (file && fstat(fd, &about) == 0) {
        disk_name(disk, file->name);
        int out = REAL(open)(disk, O_CREAT | O_WRONLY, 0600);
        copy(fd, out, file->from, file->to);
        if (REAL(ftruncate)(out, about.st_size) != 0)
            abort();
        REAL(close)(out);
        file->from = file->to = 0;
    }
    pthread_mutex_unlock(&lock);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                                                 \
        va_end(arguments);                                                                                             \
        int fd = REAL(name)(path, flags, mode);                                                                        \
        opened(fd, path);                                                                                              \
        return fd;                                                                                                     \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(name, offset)                                                                                           \
    ssize_t name(int fd, const void *bytes, size_t count, offset at)                                                   \
    {                                                                                                                  \
        ssize_t done = REAL(name)(fd, bytes, count, at);                                                               \
        if (done > 0)                                                                                                  \
            written(fd, (off_t)at, (off_t)at + done);                                                                  \
        return done;                                                                                                   \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t count)
{
    off_t at = of(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, bytes, count);
    if (done > 0)
        written(fd, at, at + done);
    return done;
}

int fsync(int fd)
{
    int outcome = REAL(fsync)(fd);
    synced(fd);
    return outcome;
}

int fdatasync(int fd)
{
    int outcome = REAL(fdatasync)(fd);
    synced(fd);
    return outcome;
}

int unlink(const char *name)
{
    int outcome = REAL(unlink)(name);
    if (outcome == 0 && is_ours(name)) {
        char disk[NAME + 8];
        disk_name(disk, name);
        REAL(unlink)(disk);
    }
    return outcome;
}

int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < DESCRIPTORS)
        file_of[fd] = 0;
    pthread_mutex_unlock(&lock);
    return REAL(close)(fd);
}
