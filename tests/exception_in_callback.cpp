/* An exception must not leave a callback, as the header says: the process ends there and then, and nothing of the device goes on
 * half done. */
extern "C" {
#include "fake_platform.h"
}

#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

static fake_platform_t fake;
static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static bool throws, caught;
static unsigned events;

static void on_event(void *, uint32_t, int32_t, void *, uint32_t)
{
    events++;
    if (throws) throw std::runtime_error("out of the callback");
    try {
        throw std::runtime_error("inside the callback");
    } catch (const std::exception &) {
        caught = true;
    }
}

static void connect_and_poll()
{
    quecota_config_t config = {};
    quecota_t *device = nullptr;
    fake_init(&fake);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    config.event = on_event;
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_product(device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    const int *never = &fake.locked;
    fake_run(&fake, device, never, 5000);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
}

int main()
{
    int status = 0;
    connect_and_poll();
    CHECK(events > 0 && caught);

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        throws = true;
        try {
            connect_and_poll();
        } catch (...) {
            _exit(11); /* it went through the library */
        }
        _exit(12);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), SIGABRT);
    std::puts("exception_in_callback: passed");
    return 0;
}
