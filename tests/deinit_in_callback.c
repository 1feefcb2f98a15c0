/* quecota_deinit() inside an event callback is refused, and the device lives on: its platform was not stopped. */
#define _POSIX_C_SOURCE 200809L
#include "fake_platform.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static quecota_t *device;
static atomic_uint events, refused;

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    (void)ctx, (void)event, (void)code, (void)value, (void)length;
    if (quecota_deinit(device) == QUECOTA_ERROR_REENTRY) refused++;
    events++;
}

static void start_on(const quecota_platform_t *platform)
{
    quecota_config_t config = {.size = sizeof config, .receive = receive, .receive_size = sizeof receive, .event = on_event};
    events = refused = 0;
    CHECK(platform != NULL);
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_product(device, "p1demo", "ZGVtby1zZWNyZXQtMDAx"), QUECOTA_OK);
}

/* A port with a task of its own hears no stop(). */
static unsigned stops;

static void stop(void *ctx)
{
    (void)ctx;
    stops++;
}

static void on_a_port(void)
{
    static fake_platform_t fake;
    int seen = 0;
    fake_init(&fake);
    fake.system.stop = stop;
    start_on(&fake.platform);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    while (events < 2) fake_run(&fake, device, &seen, 1000);
    CHECK_EQUAL(refused, events);
    CHECK_EQUAL(stops, 0);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    CHECK_EQUAL(stops, 1);
}

#ifdef WITH_HOST
static void connect_and_wait_for(unsigned count)
{
    struct timespec tick = {0, 10 * 1000 * 1000};
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_IDLE), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    for (int i = 0; events < count; i++) {
        CHECK(i < 1000);
        nanosleep(&tick, NULL);
    }
    CHECK_EQUAL(refused, events);
}

/* The host's thread still polls: nobody else would deliver the second event. */
static void on_the_host(void)
{
    char folder[] = "/tmp/quecota-test-XXXXXX", command[64];
    CHECK(mkdtemp(folder) != NULL);
    CHECK(setenv("QUECOTA_DIR", folder, 1) == 0);
    CHECK(setenv("QUECOTA_STAGING", "65536", 1) == 0);
    start_on(quecota_default_platform());
    CHECK_EQUAL(quecota_set_server(device, "mqtt://127.0.0.1:1"), QUECOTA_OK);
    connect_and_wait_for(1);
    connect_and_wait_for(events + 1);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);

    /* The platform serves one device after another. */
    start_on(quecota_default_platform());
    connect_and_wait_for(1);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
}
#endif

int main(void)
{
    on_a_port();
#ifdef WITH_HOST
    on_the_host();
#endif
    puts("deinit_in_callback: passed");
    return 0;
}
