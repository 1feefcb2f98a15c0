/*
 * Ql_iotInit() of the archive that CMake makes: an object of its own, with the memory of the drop-in API's device and the call
 * of the port. A program that does not call it has neither, and needs no quecota_default_platform(), although its linker
 * may not collect garbage. The archive that cargo makes has both in instance.rs instead.
 */
#include <stdlib.h>

#include "quecota.h"

/* One byte, 0 or 1; see instance.rs. */
unsigned char quecota_ql_iot_init(quecota_dialect_t dialect, const quecota_platform_t *(*platform)(void),
                                  quecota_memory_t *memory, unsigned char *receive, uint32_t receive_size,
                                  const char *default_server);
unsigned char Ql_iotInit(void);
unsigned char Ql_iotInit_2_10(void);

/* The heap of Ql_iotTtlv*. The other object refers to it weakly, which alone takes nothing out of a C library. */
#ifdef __GNUC__
__attribute__((used, section(".data.rel.ro.quecota_heap")))
#endif
static const struct {
    void *(*allocate)(size_t);
    void (*release)(void *);
} heap = {malloc, free};

/* Where applications go that set no server, and the dialect of those that were compiled against another header than ours: of
 * the build. */
#ifndef QUECOTA_DEFAULT_SERVER
#define QUECOTA_DEFAULT_SERVER ""
#endif
#ifndef QUECOTA_DEFAULT_DIALECT
#define QUECOTA_DEFAULT_DIALECT QUECOTA_DIALECT_2_9
#endif

static quecota_memory_t memory;
static unsigned char receive[2 * QUECOTA_RECEIVE_MIN];

unsigned char Ql_iotInit(void)
{
    return quecota_ql_iot_init(QUECOTA_DEFAULT_DIALECT, quecota_default_platform, &memory, receive, sizeof receive,
                               QUECOTA_DEFAULT_SERVER);
}

unsigned char Ql_iotInit_2_10(void)
{
    return quecota_ql_iot_init(QUECOTA_DIALECT_2_10, quecota_default_platform, &memory, receive, sizeof receive,
                               QUECOTA_DEFAULT_SERVER);
}
