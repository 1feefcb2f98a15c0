/* LD_PRELOAD for a center under measurement. QUECOTA_BENCH_SYNC_US: so many microseconds are added to each sync, as on a
 * slower disk. QUECOTA_BENCH_CLOCK: a file of eight bytes, by which the wall clock is ahead, in seconds: 10-minute marks need
 * not be waited for. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long sync_us;
static const volatile int64_t *ahead;
static int (*real_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *us = getenv("QUECOTA_BENCH_SYNC_US");
    const char *clock = getenv("QUECOTA_BENCH_CLOCK");
    sync_us = us ? atol(us) : 0;
    real_clock = REAL(clock_gettime);
    int fd = clock ? open(clock, O_RDONLY) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            abort();
        ahead = map;
        close(fd);
    }
}

static void wait_for_the_disk(void)
{
    struct timespec span = {sync_us / 1000000, sync_us % 1000000 * 1000};
    if (sync_us > 0)
        nanosleep(&span, NULL);
}

int fsync(int fd)
{
    int outcome = REAL(fsync)(fd);
    wait_for_the_disk();
    return outcome;
}

int fdatasync(int fd)
{
    int outcome = REAL(fdatasync)(fd);
    wait_for_the_disk();
    return outcome;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real_clock)
        real_clock = REAL(clock_gettime);
    int outcome = real_clock(clock, now);
    if (outcome == 0 && clock == CLOCK_REALTIME && ahead)
        now->tv_sec += *ahead;
    return outcome;
}
